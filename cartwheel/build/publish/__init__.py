"""Publishes files for hosts in their artifact store: once, by hash."""

from cartwheel.build.publish.fleet_store import Item, Store, store_for
from cartwheel.build.publish.publishing import planned, publish

__all__ = ["Item", "Store", "planned", "publish", "store_for"]
