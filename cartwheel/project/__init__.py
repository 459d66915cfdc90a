"""An application's own repository: what it says of itself, and the files that Cartwheel adds."""
