"""A pretended host: what a real sshd runs instead of the host side, for fleets that no machine
could hold. It greets, takes the sources, and answers every request at once, as a host would
that has nothing to do. Started as `pretended.py FACTS STATE`: FACTS is what a real host
answered to a probe, STATE a folder where each connection leaves one line.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import zlib
from typing import Any

sys.path.insert(0, os.path.abspath(__file__ + "/../../.."))

from cartwheel.host.wire import framing
from cartwheel.host.wire.messages import Header

RELEASE = "1.0.0.0d0d0d0d"  # what it serves


def main(facts_file: str, state: str) -> None:
    name = os.urandom(16).hex()
    at_work = f"{state}/{name}.at-work"
    open(at_work, "w").close()
    _write(b"\nCARTWHEEL-HELLO 3.11.2\n")
    decoder, bundle = framing.Decoder(), zlib.decompressobj()
    with open(facts_file) as file:
        facts = json.load(file)
    facts["host"]["boot_id"] = name
    threading.Thread(target=_live, daemon=True).start()
    asked: list[str] = []
    while data := os.read(0, 1 << 18):
        if not bundle.eof:
            bundle.decompress(data)
            data = bundle.unused_data
        for frame in decoder.feed(data):
            if frame.header["t"] == "request":
                asked.append(frame.header["op"])
                _answer(frame.header, facts)
    with open(at_work, "w") as file:
        file.write(" ".join(asked))
    os.rename(at_work, f"{state}/{name}")


def _live() -> None:
    while True:
        time.sleep(framing.BEAT_SECONDS)
        _write(framing.pack({"t": "alive"}))


def _answer(request: Header, facts: dict[str, Any]) -> None:
    asked: Any = request["args"]
    known = {
        "probe": facts,
        "compare": {
            "files": dict.fromkeys(asked.get("files", ())),
            "releases": {},
            "running": [],
            "stopping": [],
        },
        "lock": {"premise": facts["app"]["premise"], "freeze": None},
        "switch": {"id": "1"},
        "finish": {"draining": [], "connections": 0},
        "go-back": {"reverted": True, "serves": RELEASE},
    }
    name: Header = {"id": request["id"]}
    answer: Header = {"t": "result", **name, "value": known.get(request["op"], {"changed": True})}
    _write(framing.pack({"t": "start", **name}) + framing.pack(answer))


def _write(data: bytes) -> None:
    os.write(1, data)


if __name__ == "__main__":
    main(*sys.argv[1:])
