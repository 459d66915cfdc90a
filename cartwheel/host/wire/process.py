"""How the instances of a process start, prove themselves and end, as a release's manifest says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# When in a switch a new instance starts. first: web; nothing else is changed before it has passed
# its check. beside: it works from its start, in parallel with the old ones. instead: once the old
# ones have ended, before the traffic moves. last: once the old one has ended, after everything else
# has proved itself.
Starts = Literal["first", "beside", "instead", "last"]


@dataclass(frozen=True)
class Process:
    """A process of a release besides web. It is ready once it has been up for `ready_seconds` and
    the command `ready`, if any, has ended with 0, within `deadline_seconds`. `stop_seconds`: the
    time limit of its last job. `program`: the first word of its command."""

    starts: Starts = "beside"
    program: str = ""
    ready: str = ""
    ready_seconds: float = 3.0
    deadline_seconds: float = 30.0
    stop_seconds: float = 60.0

    @property
    def never_twice(self) -> bool:
        return self.starts in ("instead", "last")
