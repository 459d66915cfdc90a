"""What happened to each order, in Redis."""

import os
import time

import redis

URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
LONGEST_SECONDS = 60.0

_connection = redis.Redis.from_url(URL, decode_responses=True)


def new_order():
    return _connection.incr("shop:orders")


def note(order, step):
    """Add a step with its time: ordered, begun, packed."""
    _connection.rpush(f"shop:order:{order}", f"{step} {time.time():.3f}")


def steps(order):
    return _connection.lrange(f"shop:order:{order}", 0, -1)


def orders():
    """All orders that are not forgotten."""
    return [int(key.rpartition(":")[2]) for key in _connection.scan_iter("shop:order:*")]


def forget(order):
    _connection.delete(f"shop:order:{order}")


def count_up(name):
    return _connection.incr(f"shop:{name}")


def count(name):
    return int(_connection.get(f"shop:{name}") or 0)
