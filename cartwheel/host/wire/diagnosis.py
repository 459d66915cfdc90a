"""What `fab diagnose` asks a host: evidence of what is wrong there, already counted.

Times are in seconds since the epoch by the host's clock, sizes in bytes. A host counts and groups;
`cartwheel.diagnosis` judges.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Optional, Tuple

from cartwheel.host.wire.request import Request
from cartwheel.host.wire.status import AskStatus, Status


@dataclass(frozen=True)
class Sign:
    """Log lines that say the same. `kind` is what they say (each module of `host/diagnose` names
    its kinds), `about` what it is about: a process, a place in the code, a path. `lines`: a few of
    them, as they are shown; `count` may be larger. `processes`: whose log has them, where `about`
    does not say it. `reason`: of `worker-boot`, the kind of sign that its last message is too."""

    kind: str
    about: str
    count: int
    first: float
    last: float
    lines: Tuple[str, ...] = ()
    processes: Tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Use:
    """What one instance uses and what it may use; None: not known, or no limit. `label`: its slot,
    for who reads the JSON.

    `files` are those of its process that has most of them open, `files_max` that one's limit.
    `queue`: connections that wait to be accepted on its socket, `queue_max`: how many may.
    `waiting`: connections that were accepted, but whose request nobody has read for a while;
    `answering`: those whose request was read; `left`: of both, those whose other side has gone.
    `out_of_memory`: how often the kernel has ended one of its processes since it started, for this
    unit's own limit. `throttled`: the part of its time in which its CPUQuota= held it back.
    """

    process: str
    label: str
    active: str
    memory: Optional[int]
    memory_max: Optional[int]
    out_of_memory: int
    tasks: Optional[int]
    tasks_max: Optional[int]
    files: Optional[int]
    files_max: Optional[int]
    workers: int
    queue: Optional[int] = None
    queue_max: Optional[int] = None
    throttled: Optional[float] = None
    waiting: int = 0
    answering: int = 0
    left: int = 0


@dataclass(frozen=True)
class Minute:
    """Requests of a short time of `seconds`; `at` is its begin. `failed`: 5xx, `given_up`:
    the client did not wait for the answer. `usual` and `slow` are the median and the 95th
    percentile in seconds of what the app answered, without the failed. `client`: who made most of
    the requests, and `by_client`: how many."""

    at: float
    count: int
    failed: int
    slow: float
    usual: float = 0.0
    given_up: int = 0
    first_failed: Optional[float] = None
    client: str = ""
    by_client: int = 0
    seconds: float = 60.0


@dataclass(frozen=True)
class Url:
    """Requests for one path: numbers and ids in it are `*`, its query is left out. `failed`: 5xx.
    `usual` and `slow` are the median and the 95th percentile in seconds, without the failed;
    `statuses` are those of the failed. `spans`: its requests by time, the last ones in shorter
    times; `before`: those of the day before, None if there were too few."""

    path: str
    count: int
    failed: int
    usual: float
    slow: float
    first_failed: Optional[float] = None
    statuses: Dict[str, int] = field(default_factory=dict)
    spans: Tuple[Minute, ...] = ()
    before: Optional[Minute] = None


@dataclass(frozen=True)
class Visits:
    """Requests of visitors, from the web server's log. `part`: how much of the log of that time was
    read, at most 1.0; where it is less, the numbers are estimates for all of it. `usual` and `slow`
    as in Minute, of all of them, for who reads the JSON. `statuses`: by status code; `by_server`:
    the failed ones that the web server answered without the app. `failing`: the URLs that failed
    most, `slowest`: those that took most time. `minutes`: in order, each of `step` seconds, without
    those in which there was no request. `before`: the day before, `hours`: its requests a minute,
    hour by hour. `agents`: the program that each `client` of the minutes says it is. `counted`:
    whether every failed request was counted, also where `part` is less than 1."""

    part: float
    count: int
    failed: int
    usual: float
    slow: float
    statuses: Dict[str, int]
    failing: Tuple[Url, ...]
    slowest: Tuple[Url, ...]
    minutes: Tuple[Minute, ...]
    step: float = 60.0
    by_server: int = 0
    before: Optional[Minute] = None
    hours: Tuple[float, ...] = ()
    agents: Dict[str, str] = field(default_factory=dict)
    counted: bool = True


@dataclass(frozen=True)
class Storage:
    """A file system. `what`: what on it the app or the host needs. `free` and `free_inodes`: what
    is left for users other than root. `growth`: bytes an hour by the last hour, `growth_now`:
    bytes an hour by the last second; None where that is not known. `growing`: the files that were
    written to most, in bytes an hour. `largest`: files and folders. `deleted`: files that processes
    hold open though they are deleted. `crowded`: folders with the most entries, and how many."""

    path: str
    what: Tuple[str, ...]
    size: int
    free: int
    inodes: int
    free_inodes: int
    read_only: bool
    growth: Optional[float] = None
    growing: Dict[str, int] = field(default_factory=dict)
    largest: Dict[str, int] = field(default_factory=dict)
    growth_now: Optional[float] = None
    deleted: Dict[str, int] = field(default_factory=dict)
    crowded: Dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Machine:
    """The host as a whole. `load`: of the last minute. `waiting`: the part of the last minute in
    which all tasks waited for the disk, `memory_waiting`: for memory; `cpu_waiting`: in which some
    task waited for a CPU. `synchronized`: whether something sets the clock; None: not known, or
    nothing is meant to. `time_service`: what is meant to set it. `newest_kernel`: of the installed
    ones, "" where that is not known. `replaced`: files of programs and libraries that processes of
    the app still use, though something has replaced them. `restart_wanted`: the packages for which
    the distribution asks for a reboot. `time_service_seconds`: how long that has run."""

    cpus: int
    load: float
    memory: int
    memory_available: int
    swap: int
    swap_free: int
    files: int
    files_max: int
    synchronized: Optional[bool]
    kernel: str
    newest_kernel: str
    waiting: Optional[float] = None
    memory_waiting: Optional[float] = None
    cpu_waiting: Optional[float] = None
    time_service: str = ""
    time_service_seconds: Optional[float] = None
    replaced: Tuple[str, ...] = ()
    restart_wanted: Tuple[str, ...] = ()


APP_FOLDER = "the app's folder"
"""The `kind` of a Service that is no service: its own folder."""
REFUSAL = "refuses the connection"
"""How the `problem` of a Service ends that is `refused`, behind the host."""
NO_FILE = "there is no file"
"""How the `problem` of a database in a file begins where it is missing."""


@dataclass(frozen=True)
class Service:
    """Something that the app's variables name: a database, Redis, an HTTP service. `variable`: the
    variable that names it; `address`: HOST:PORT or a socket's path; `problem`: why it cannot be
    used, "" if it answers. `how`: what kind of problem: `unknown` (its name), `refused`, `timeout`
    (no connection in time), `silent` (no answer in time), `unreachable`, `denied` (it answers that
    it does not serve), `ended` (it closes the connection), `tls`, `missing` (a file or a socket),
    `unwritable`. `of_unit`: for one on this host that does not answer, the unit that should run it;
    `unit_state`: how that is. `since`: since when it is so, if that is known. `seconds`: how long
    the answer took, for who reads the JSON."""

    kind: str
    variable: str
    address: str
    problem: str
    seconds: float
    how: str = ""
    of_unit: str = ""
    unit_state: str = ""
    since: Optional[float] = None


@dataclass(frozen=True)
class Lookup:
    """A name that the host tried to look up. `problem`: "" if that worked. `variables`: those of
    the app that name it. `kind`: `name`; `own`: the host's own name; `server`: a name server was
    asked whether it answers, `name` is its address. `passing`: the name may exist, but nobody could
    be asked."""

    name: str
    problem: str
    seconds: float
    kind: str = "name"
    variables: Tuple[str, ...] = ()
    passing: bool = False


@dataclass(frozen=True)
class Change:
    """Something that somebody did. `kind`: deploy, settings, packages, boot, command, file, ..."""

    at: float
    kind: str
    detail: str
    who: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All evidence. `time`: when the look began; `unread`: what could not be looked at, and why.
    `texts`: the newest lines of each log, for a bundle."""

    time: float
    took_seconds: float
    since: float
    status: Status
    signs: Tuple[Sign, ...]
    uses: Tuple[Use, ...]
    visits: Optional[Visits]
    storage: Tuple[Storage, ...]
    machine: Optional[Machine]
    services: Tuple[Service, ...]
    lookups: Tuple[Lookup, ...]
    changes: Tuple[Change, ...]
    unread: Tuple[str, ...]
    texts: Dict[str, str]


@dataclass(frozen=True)
class Diagnose(Request[Diagnosis]):
    """Look for what is wrong, in the last `ago_seconds`; with `texts` also send the logs."""

    op = "diagnose"
    ago_seconds: float
    status: AskStatus
    texts: bool = False
