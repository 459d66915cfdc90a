"""The application for gunicorn: `inventory.wsgi:app`."""

from inventory import create_app

app = create_app()
