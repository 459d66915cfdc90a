"""Put what hosts need into the store that they share: once, found again by its hash."""

from cartwheel.build.publish.fleet_store import Item, Store, store_for
from cartwheel.build.publish.publishing import planned, publish

__all__ = ["Item", "Store", "planned", "publish", "store_for"]
