"""Takes orders, and shows what happened to them."""

from importlib.metadata import version

from flask import Flask, jsonify, request

from shop import jobs, store

app = Flask(__name__)


@app.get("/")
def index():
    return jsonify(orders=store.count("orders"), ticks=store.count("ticks"))


@app.get("/healthz")
def healthz():
    return jsonify(status="ok", version=version("shop"))


@app.post("/orders")
def take():
    """`?seconds=` is how long it takes to pack the order."""
    seconds = request.args.get("seconds", default=1.0, type=float)
    seconds = min(max(seconds, 0.0), store.LONGEST_SECONDS)
    order = store.new_order()
    store.note(order, "ordered")
    jobs.pack.delay(order, seconds)
    return jsonify(id=order), 202


@app.get("/orders/<int:order>")
def look(order):
    return jsonify(id=order, steps=store.steps(order))
