"""The mark of a switch that is not confirmed yet, as it lies on the host (see `state.pending`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional

from cartwheel.host.wire.instance import WEB, Instance
from cartwheel.host.wire.journal import Entry


@dataclass(frozen=True)
class Saved:
    """How a file was: what the link leads to, where it is one, and the text; both where there was
    a text behind a link."""

    sparse = True
    link: Optional[str] = None
    text: Optional[str] = None


@dataclass(frozen=True)
class Pending:
    """`kind` is deploy, rollback or restart, `was` the release that served (None at the first
    deploy). `shared` is how every shared file was that the switch changes (None: it was not
    there). `fresh`: `to` was made by this deploy and never served, so it goes where it is found bad.
    `started` is the time when its instance was started: where its log begins. `next_previous` is
    where `previous` goes once it is confirmed (an older version does not write it)."""

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

    @property
    def new(self) -> Instance:
        return Instance(WEB, self.to, self.to_slot)

    @property
    def old(self) -> Optional[Instance]:
        if self.was is None or self.was_slot is None:
            return None
        return Instance(WEB, self.was, self.was_slot)

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
        )


# In the place of one that nobody can read.
DAMAGED = Pending("", "", "", "", None, None, None, None, {}, False, 0.0, "", "", "")
