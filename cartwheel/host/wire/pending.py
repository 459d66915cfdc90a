"""The mark of a switch that is not confirmed yet, as the host stores it (see `state.pending`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Optional, Tuple

from cartwheel.host.wire.assigned import Assigned
from cartwheel.host.wire.instance import WEB, Instance
from cartwheel.host.wire.journal import Entry


@dataclass(frozen=True)
class Saved:
    """The earlier state of a file: its text, and its target if it was a link; both if the link led
    to a file."""

    sparse = True
    link: Optional[str] = None
    text: Optional[str] = None


@dataclass(frozen=True)
class Pending:
    """`kind`: deploy, rollback or restart. `was`: the release that was live (None: first deploy).
    `shared`: the earlier state of each shared file that the switch changes (None: no such file).
    `fresh`: `to` was made by this deploy and was never live, so it is removed if it is bad.
    `started`: when its instance was started, which is where its log begins. `next_previous`: where
    `previous` will point after the confirmation, `commit`: as in the manifest of `to` (older
    versions write neither). `to_assigned`, `was_assigned`: what runs here after and before the
    switch (older versions: web)."""

    id: str
    kind: str
    to: str
    to_slot: str
    was: Optional[str]
    was_slot: Optional[str]
    was_fallback: Optional[str]
    was_previous: Optional[str]
    shared: Dict[str, Optional[Saved]]
    fresh: bool
    started: float
    version: str
    who: str
    message: str
    next_previous: Optional[str] = None
    commit: Optional[str] = None
    to_assigned: Assigned = field(default_factory=Assigned)
    was_assigned: Assigned = field(default_factory=Assigned)

    @property
    def new(self) -> Instance:
        return Instance(WEB, self.to, self.to_slot)

    @property
    def old(self) -> Optional[Instance]:
        if self.was is None or self.was_slot is None:
            return None
        return Instance(WEB, self.was, self.was_slot)

    @property
    def new_side(self) -> Tuple[Instance, ...]:
        return tuple(self.to_assigned.side(self.to, self.to_slot))

    @property
    def old_side(self) -> Tuple[Instance, ...]:
        old = self.old
        return tuple(self.was_assigned.side(old.release, old.slot)) if old else ()

    def entry(self, result: str, reason: str = "") -> Entry:
        """This switch as a line of the journal."""
        return Entry(
            kind=self.kind,
            release=self.to,
            version=self.version,
            result=result,
            who=self.who,
            message=self.message,
            from_=self.was,
            switch=self.id,
            reason=reason or None,
            commit=self.commit,
        )


# Stands for a mark that cannot be read.
DAMAGED = Pending("", "", "", "", None, None, None, None, {}, False, 0.0, "", "", "")
