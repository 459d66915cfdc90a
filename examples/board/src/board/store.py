"""What happened to each post, in Redis."""

import os
import time

import redis

URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/1")
LONGEST_SECONDS = 60.0

connection = redis.Redis.from_url(URL)


def new_post():
    return connection.incr("board:posts")


def note(post, step):
    """Add a step with its time: posted, begun, published."""
    connection.rpush(f"board:post:{post}", f"{step} {time.time():.3f}")


def steps(post):
    return [step.decode() for step in connection.lrange(f"board:post:{post}", 0, -1)]
