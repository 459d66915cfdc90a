"""The record of what setup made for an application: written first, so that uninstall removes
exactly that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

from cartwheel.host.layout import Layout
from cartwheel.host.system import files
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.hidden import Hidden


@dataclass(frozen=True)
class Record:
    """`digest_key`: the fleet's key for digests of secrets. `made_folders`: the folders that setup
    made down to the common folder of all applications. `web_server`: the kind that the host is
    prepared for, by name; "" is the usual one, because earlier versions knew no other."""

    user: str
    group: str
    app: str = ""
    base: str = ""
    digest_key: Optional[Hidden] = None
    packages: Tuple[str, ...] = ()
    made_folders: Tuple[str, ...] = ()
    web_server: str = ""


def read(at: Layout) -> Optional[Record]:
    """The record; None if the host is not set up for the application."""
    return files.read_record(Record, at.record)


def needed(at: Layout) -> Record:
    """The record. Raises OpError("not-set-up") if there is none."""
    found = read(at)
    if found is None:
        raise OpError("not-set-up", f"this host is not set up for {at.app}")
    return found


def write(at: Layout, record: Record) -> Record:
    """It holds a secret, so only root reads it."""
    files.write_json(at.record, to_json(record), 0o600)
    return record
