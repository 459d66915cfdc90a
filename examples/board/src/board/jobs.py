"""What the workers do."""

import time

from board import store


def publish(post, seconds):
    store.note(post, "begun")
    time.sleep(seconds)
    store.note(post, "published")
