"""A stock list over SQLite, with signed XML exports.

`INVENTORY_DATABASE` names the database file (in the app's shared folder, which outlives
releases); `INVENTORY_KEY` is the secret that signs exports.
"""

import os
from importlib.metadata import version

from flask import Flask, Response, abort, jsonify, redirect, render_template, request, url_for
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory.export import sign, to_xml
from inventory.store import Item, change_stock, items, open_store

VERSION = version("inventory")


def create_app(database=None, key=None):
    """The application; `database` and `key` default to the environment variables."""
    database = database or os.environ.get("INVENTORY_DATABASE", "inventory.sqlite3")
    key = (key or os.environ.get("INVENTORY_KEY", "not a secret")).encode()
    engine = open_store(database)
    app = Flask(__name__)

    @app.get("/")
    def index():
        with Session(engine) as session:
            return render_template("index.html", items=items(session), version=VERSION)

    @app.post("/items")
    def change():
        """Adds `amount` (may be negative) to the stock of `name`."""
        name = request.form.get("name", "").strip()
        amount = request.form.get("amount", type=int)
        if not name or amount is None:
            abort(400, "name and amount are needed")
        with Session(engine) as session, session.begin():
            if not change_stock(session, name, amount):
                abort(409, f"there are not that many of {name}")
        return redirect(url_for("index"), code=303)

    @app.get("/items.json")
    def as_json():
        with Session(engine) as session:
            return jsonify({item.name: item.amount for item in items(session)})

    @app.get("/items.xml")
    def as_xml():
        with Session(engine) as session:
            body = to_xml(items(session))
        return Response(body, mimetype="application/xml", headers={"X-Signature": sign(body, key)})

    @app.get("/healthz")
    def healthz():
        """Healthy means that the database answers."""
        with Session(engine) as session:
            session.execute(text("select count(*) from item"))
        return jsonify(status="ok", version=VERSION)

    return app


__all__ = ["Item", "create_app"]
