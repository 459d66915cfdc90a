"""Requests for silences: small files, which the watcher takes away once it knows them."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import List

from cartwheel_monitor.quiet import Silence


def ask(folder: Path, one: Silence) -> None:
    """Leave a request for the watcher."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{time.time_ns()}-{os.getpid()}"
    text = json.dumps([one.until, one.why, one.who, one.app, one.host])
    temporary = path.with_suffix(".new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path.with_suffix(".json"))


def take(folder: Path) -> List[Silence]:
    """The requests, in their order; what is none is dropped."""
    found = []
    for path in sorted(folder.glob("*.json")):
        with suppress(OSError, ValueError, TypeError):
            found.append(Silence(*json.loads(path.read_text(encoding="utf-8"))))
        with suppress(OSError):
            path.unlink()
    return found
