"""The settings of notebook.settings, and what differs on a host.

Written once by `config.init`; it is yours to change. cartwheel.toml sets the variables
that it reads, except CARTWHEEL_SHARED and STATIC_ROOT: those come from Cartwheel.
"""

# flake8: noqa: F403, F405

import os
from pathlib import Path
from urllib.parse import urlsplit

from notebook.settings import *

DEBUG = os.environ.get("DJANGO_DEBUG") == "1"
SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]

# Where visitors find the site: "https://shop.example.org https://www.shop.example.org".
ORIGINS = os.environ["DJANGO_ORIGINS"].split()
ALLOWED_HOSTS = [urlsplit(origin).hostname.replace("*.", ".") for origin in ORIGINS]
CSRF_TRUSTED_ORIGINS = ORIGINS
# Over HTTPS, browsers must not send these cookies without it.
HTTPS = all(origin.startswith("https://") for origin in ORIGINS)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS

# The web server in front says how a visitor came; a visitor cannot say so.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# `collectstatic` fills this folder in each deploy, and the web server serves it.
STATIC_ROOT = os.environ["STATIC_ROOT"]

# What the site writes is in the shared folder, which outlives its releases.
SHARED = Path(os.environ["CARTWHEEL_SHARED"])
DATABASES["default"]["NAME"] = SHARED / "db.sqlite3"
MEDIA_ROOT = SHARED / "media"
