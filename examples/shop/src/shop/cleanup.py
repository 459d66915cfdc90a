"""A timer's job: forget orders that were packed long ago."""

import time

from shop import store

KEEP_SECONDS = 24 * 3600.0


def old(orders, now):
    """Those of `orders`, with their steps, that were packed more than KEEP_SECONDS ago."""
    for order, steps in orders:
        what, _, at = (steps or [""])[-1].partition(" ")
        if what == "packed" and float(at) < now - KEEP_SECONDS:
            yield order


def main():
    known = [(order, store.steps(order)) for order in store.orders()]
    forgotten = list(old(known, time.time()))
    for order in forgotten:
        store.forget(order)
    print(f"{len(forgotten)} of {len(known)} orders forgotten")


if __name__ == "__main__":
    main()
