"""What travels between both sides, before records are made of it."""

from __future__ import annotations

from typing import Dict, Literal, Mapping, Optional, Sequence, TypedDict, Union

# To be read only; what the json module gives is made of lists and dicts.
Json = Union[None, bool, int, float, str, Sequence["Json"], Mapping[str, "Json"]]
Table = Dict[str, Json]

State = Literal["start", "progress", "done", "unchanged", "changed", "failed", "note"]


class Told(TypedDict, total=False):
    """What an operation tells while it works; `source` names the log that a line is from, `at` is
    the line's time (seconds since the epoch), `process` the instance besides web that wrote it."""

    step: str
    state: State
    detail: str
    source: str
    at: float
    process: str


class Header(TypedDict, total=False):
    """The header of a frame (see `framing`). Which fields it has depends on its kind, `t`."""

    t: str
    id: int
    # request
    op: str
    args: Table
    deadline_seconds: float
    group: Optional[str]
    blob: bool
    # config
    lease_seconds: float
    about: Json
    # event, result, error
    event: Told
    value: Json
    slug: str
    message: str
    hint: str
    log: str
    lost: bool
    skipped: bool
