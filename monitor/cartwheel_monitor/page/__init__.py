"""The page: what the monitor knows, for a browser. It reads, and changes nothing.

`site` makes the Flask application; `views` has one file for each view, which asks `reading` for
records and renders a template; `door_login` and `door_token` decide who may come in.
"""
