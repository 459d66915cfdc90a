"""A small shop: pages from PostgreSQL, a cart in Redis, prices from another service, uploads."""

import hashlib
import logging
import os
import signal
import subprocess
import threading
import time
import uuid

import psycopg
import pymysql
import redis
import requests
from flask import Flask, jsonify, request
from modes import SHARED, mode, pause, take_lock

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
log = logging.getLogger("shop")
app = Flask(__name__)
kept = []  # a leak holds its files here

if os.environ.get("SHOP_CURRENCY", "EUR") not in ("EUR", "USD"):
    raise RuntimeError(f"SHOP_CURRENCY is {os.environ['SHOP_CURRENCY']!r}: must be EUR or USD")


def database():
    return psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=3)


@app.before_request
def check_plan():
    if mode("raise") == "all" and request.path != "/healthz":
        {"basic": 1}[mode("plan") or "premium"]
    for number in range(int(mode("chatter") or 0)):
        log.warning("cache miss for key %s of %s", number, request.path)


@app.get("/")
def index():
    return "<h1>The shop</h1>"


@app.get("/healthz")
def healthz():
    return jsonify(status="ok", release=os.environ.get("CARTWHEEL_RELEASE"))


@app.get("/orders")
@app.get("/orders/<int:number>")
def orders(number=1):
    if mode("raise") == "orders":
        return jsonify(total=total_of({"lines": None}))
    if mode("leak"):
        kept.extend((SHARED / "modes" / "leak").open() for _ in range(int(mode("leak"))))
    table = mode("table") or "orders"
    with database() as connection:
        found = connection.execute(f"SELECT id, total FROM {table} WHERE id <= %s", [number])
        return jsonify(found.fetchall())


def total_of(order):
    return sum(line["price"] for line in order["lines"])


@app.get("/cart")
def cart():
    client = redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=3)
    return jsonify(visits=client.incr("visits"))


@app.get("/prices")
def prices():
    patience = float(mode("patience") or 3)
    answer = requests.get(os.environ["PRICES_URL"], timeout=None if patience > 60 else patience)
    answer.raise_for_status()
    return jsonify(answer.json())


@app.get("/legacy")
def legacy():
    host, port = os.environ["LEGACY_HOST"], int(os.environ.get("LEGACY_PORT", "3306"))
    with pymysql.connect(host=host, port=port, user="shop", connect_timeout=3) as connection:
        return jsonify(connection.get_server_info())


@app.get("/report")
def report():
    if mode("unavailable"):
        return "come back later", 503
    if mode("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    if mode("memory"):
        return jsonify(size=len(every_row(int(mode("memory")))))
    if mode("lock"):
        take_lock("report.lock", wait=True)
    for _ in range(int(mode("threads") or 0)):
        threading.Thread(target=pause, args=[600], daemon=True).start()
    if mode("slow"):
        pause(mode("slow"))
    return jsonify(digest=hashlib.sha256(os.urandom(1 << 16)).hexdigest())


def every_row(gigabytes):
    return bytearray(gigabytes << 30)


@app.get("/total")
def total():
    """By a program of the system, as thumbnails and PDFs are made."""
    done = subprocess.run(["bc"], input="40 + 2\n", capture_output=True, text=True, check=True)
    return jsonify(total=done.stdout.strip())


@app.post("/upload")
def upload():
    folder = SHARED / "uploads"
    folder.mkdir(exist_ok=True)
    path = folder / f"{uuid.uuid4().hex}.bin"
    path.write_bytes(request.get_data())
    size = path.stat().st_size
    path.unlink()
    return jsonify(size=size)


@app.get("/sometimes")
def sometimes():
    """A page with a rare mistake, as every application has one."""
    if int(time.time() * 1000) % 400 == 0:
        raise ValueError("an order without a customer")
    return "fine"
