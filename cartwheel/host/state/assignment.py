"""What runs on this host: its processes, and how many instances of each.

`assigned.json` is a link, so that a switch moves it, and goes back, with one rename even if the
disk is full.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Iterable, List, Optional

from cartwheel.host.layout import Layout
from cartwheel.host.system import files
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.assigned import Assigned
from cartwheel.host.wire.codec import to_json

_DIGEST_CHARACTERS = 12


def read(at: Layout) -> Assigned:
    """A damaged file counts as that of an earlier version: web alone."""
    with contextlib.suppress(OpError):
        return files.read_record(Assigned, at.assigned) or Assigned()
    return Assigned()


def target(at: Layout, what: Assigned) -> str:
    """Where the link leads if this runs here."""
    text = json.dumps(to_json(what), sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{at.assignments.name}/{name}.json"


def keep(at: Layout, what: Assigned) -> None:
    """Write the file that the link may lead to."""
    files.directory(at.assignments, 0o755)
    files.write_json(at.root / target(at, what), to_json(what))


def point(at: Layout, what: Assigned) -> bool:
    """Lead the link to a file that is kept."""
    return files.link(at.assigned, target(at, what))


def write(at: Layout, what: Assigned) -> bool:
    """From now on this runs here; durable on return. Not while a switch is pending."""
    keep(at, what)
    changed = point(at, what)
    forget_earlier(at)
    return changed


def forget_earlier(at: Layout) -> None:
    """Remove the files that the link does not lead to; no switch is pending."""
    for path in unneeded(at, ()):
        files.remove(path)


def note(at: Layout, release: str, what: Assigned) -> None:
    """Keep what ran here with a release, for a rollback. A full disk is ignored: then the rollback
    runs what is assigned now."""
    with contextlib.suppress(OSError, OpError):
        files.write_json(at.release(release) / at.assigned.name, to_json(what), 0o640)


def noted(at: Layout, release: str) -> Optional[Assigned]:
    with contextlib.suppress(OpError):
        return files.read_record(Assigned, at.release(release) / at.assigned.name)
    return None


def unneeded(at: Layout, needed: Iterable[Assigned]) -> List[Path]:
    """Files that the link does not lead to and nobody needs."""
    wanted = {files.read_link(at.assigned), *(target(at, one) for one in needed)}
    there = [f"{at.assignments.name}/{name}" for name in files.names(at.assignments)]
    return [at.root / place for place in there if place not in wanted]
