"""The packages with their own source, and the wheels of those that are needed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from cartwheel.build.beside import Made, bare_wheel, make, stand_in
from cartwheel.build.declared import Terms
from cartwheel.build.index import Access, with_login
from cartwheel.build.origins import Origin, local_path, merged, normal
from cartwheel.build.private import Privacy
from cartwheel.build.wheel import metadata_lines, read_metadata
from cartwheel.events import Emit


class Sources:
    """Until a package turns out to be needed, a placeholder replaces it: so it is never looked up
    on an index, even if only another package requires it, and nothing is built in vain."""

    def __init__(self, origins: Mapping[str, Origin], application: str, privacy: Privacy) -> None:
        self.made: dict[str, Made] = {}
        self.asked: dict[str, Origin] = {}  # from one index only
        self.pins: tuple[str, ...] = ()  # requirements for the built wheels
        self._application = application
        self._privacy = replace(privacy, exclude=())  # which is about the application's folder
        self._known: dict[str, Origin] = {}
        self._seen: list[object] = []
        self._learn(origins)

    @property
    def identity(self) -> tuple[object, ...]:
        """Everything that counts for a lock: of built packages only their requirements."""
        waiting = sorted(self._waiting())
        return (self._seen, waiting, sorted((name, one.place) for name, one in self.asked.items()))

    def _learn(self, origins: Mapping[str, Origin]) -> None:
        others = {name: one for name, one in origins.items() if name != self._application}
        self._known = merged(self._known, others)

    def _waiting(self) -> list[str]:
        return [name for name in self._known if name not in self.made and name not in self.asked]

    def is_made_here(self, requirement: str) -> bool:
        """Whether a name, or the name of a requirement, is never looked up on an index."""
        name = normal(re.split(r"[\s@\[=<>!~;]", requirement, maxsplit=1)[0])
        return name in self._known and name not in self.asked

    def unmade(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that only have a placeholder."""
        waiting = set(self._waiting())
        return [name for name in names if name in waiting]

    def stand_ins(self, state: Path) -> tuple[str, ...]:
        """Requirements for the placeholders of packages that are not built yet."""
        found = []
        for name in sorted(self._waiting()):
            wheel = bare_wheel(name, "0", metadata_lines(name, "0"), state)
            found.append(f"{name} @ {wheel.as_uri()}")
        return tuple(found)

    def found(self, name: str, address: str, sha256: str, where: str, access: Access) -> None:
        """A file of an index that only this machine can use: hosts get it like a package that is
        built here."""
        kind: Literal["path", "url"] = "path" if address.startswith("file:") else "url"
        place = local_path(address, Path()) if kind == "path" else with_login(address, access)
        origin = Origin(name, kind, place, where, sha256=sha256)
        self._learn({name: origin} if name not in self._known else {})

    def make(self, name: str, access: Access, terms: Terms, *, state: Path, emit: Emit) -> None:
        """Build the package of a name, and follow the sources that it names.

        Raises BuildError as `beside.make`, and "source-conflict".
        """
        origin = self._known[name]
        if not origin.is_local:
            self.asked[name] = origin
            return
        terms = replace(terms, extras=None)
        made = make(origin, access, terms, self._privacy, state=state, emit=emit)
        self.made[name] = made
        metadata = read_metadata(made.artifact.wheel)
        asks = (metadata.version, metadata.requires_dist, metadata.requires_python, metadata.extras)
        self._seen.append((name, *asks))
        wheel = stand_in(made.artifact, metadata, state)
        self.pins = (*self.pins, f"{name} @ {wheel.as_uri()}")
        self._learn(made.origins)
