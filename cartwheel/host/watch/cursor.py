"""How far a monitor has read: it gets this with an answer, and sends it with the next question.

One word: `1/TIME/APP:SEQ:INODE:OFFSET/...`; TIME is in seconds and tenths, SEQ is the last entry of
the app's journal, INODE and OFFSET are the place in the access log of its site.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

MOST_BYTES = 4096
_PLACE = r"[a-z][a-z0-9-]*(?:\.[a-z][a-z0-9-]*)?:\d{1,10}:\d{1,20}:\d{1,16}"
_CURSOR = re.compile(rf"1/\d{{1,12}}(?:\.\d)?(?:/{_PLACE})*")

# An app's SEQ, INODE and OFFSET.
Place = tuple[int, int, int]


def is_one(word: str) -> bool:
    return len(word) <= MOST_BYTES and _CURSOR.fullmatch(word) is not None


def read(word: str) -> tuple[float, dict[str, Place]]:
    """The time of the last look, and the place of each app; of a word for which `is_one` is."""
    _version, time, *places = word.split("/")
    found: dict[str, Place] = {}
    for place in places:
        app, seq, inode, offset = place.split(":")
        found[app] = (int(seq), int(inode), int(offset))
    return float(time), found


def write(now: float, places: Mapping[str, Place]) -> str:
    """Apps for which there is no room begin anew with each look."""
    word = f"1/{now:.1f}"
    for app, (seq, inode, offset) in sorted(places.items()):
        place = f"/{app}:{seq}:{inode}:{offset}"
        if len(word) + len(place) <= MOST_BYTES:
            word += place
    return word
