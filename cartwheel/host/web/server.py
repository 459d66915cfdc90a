"""The interface of a web server kind."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Protocol,
    Sequence,
    Set,
    Tuple,
)

if TYPE_CHECKING:
    from cartwheel.host.layout import Layout
    from cartwheel.host.wire.facts import Server


@dataclass(frozen=True)
class Request:
    """A real request: which upstream was tried first, what it answered, and when (seconds
    since the epoch) the request was passed on to it."""

    upstream: str
    status: int
    passed_on: float


class Visit(NamedTuple):
    """Any request in an access log; a tuple, because there are millions. `at`: when it was
    answered, `path` without its query. `passed`: an upstream was asked, `answered`: `status` is an
    upstream's. `seconds`: how long the upstream took, or the web server itself. `is_closed`: it
    said 503 because somebody closed the site; `is_probe`: it is our own."""

    at: float
    client: bytes
    path: bytes
    status: int
    seconds: float
    passed: bool
    answered: bool
    agent: bytes
    is_closed: bool
    is_probe: bool


class Trouble(NamedTuple):
    """A failure that an error log reports. `kind` is a key of `web_errors.KINDS`; `about`: the
    socket, the file or the text that it names, `path`: that of the request. `is_whole`: it is of
    the server as a whole, and not of one site."""

    at: float
    kind: str
    about: str
    path: str = ""
    is_whole: bool = False


@dataclass(frozen=True)
class Answer:
    """The web server's report on one request: statuses and upstreams, in the order of tries.
    `release` is the one that the link `current` named; None where the web server cannot say."""

    release: Optional[str]
    statuses: Tuple[str, ...]
    upstreams: Tuple[str, ...]


@dataclass(frozen=True)
class TlsSite:
    """How a site is served over TLS: its port, and the file of its certificate."""

    port: int
    certificate: Path


@dataclass(frozen=True)
class Installed:
    """What a web server would load. `listens`: the ports that files of others make it listen on,
    where a site must not say it again. `connections`: how many clients it serves at once; None
    where that is no limit in practice, and where it is not known."""

    servers: "List[Server]"
    listens: List[int] = field(default_factory=list)
    connections: Optional[int] = None


def tls_site(
    text: str, port: "re.Pattern[str]", certificate: "re.Pattern[str]"
) -> Optional[TlsSite]:
    """What these patterns find in the text of `Layout.tls_site`; None if one finds nothing."""
    at, which = port.search(text), certificate.search(text)
    if at is None or which is None:
        return None
    return TlsSite(int(at.group(1)), Path(which.group(1)))


# The texts of files that are only staged so far, by path; None for one that will be gone.
Staged = Mapping[str, Optional[str]]


class WebServer(Protocol):
    """One kind; an object without state. Operator and host both ask it, so its module imports
    what only a host needs where it needs it.

    Its site template makes the file `site`, and that keeps four promises: each connection follows
    the links `current/http.sock` and, where nobody answers there, `fallback/http.sock`; `request`
    understands each line of the access log; a request with the header `X-Cartwheel-Probe: TOKEN`
    gets the answer that `answer` understands; everybody else learns nothing. Rules for paths
    (`render.door`) hold for all spellings of a path and all ways to it, but not for such requests.
    """

    # Its name for people, for the filter of its templates, and for `tasks/NAME.py`.
    name: str
    # The program that listens, as `ss` shows it; it is in PATH.
    program: str
    # The system packages that bring it.
    packages: Tuple[str, ...]
    # Its systemd unit.
    unit: str
    # The slug of the error for a configuration that was broken before our change.
    broken: str
    # The slug of the error for a change that it refuses.
    refuses: str
    # The template of an application's site.
    site_template: str
    # The template of what that site includes inside, where paths have rules.
    door_template: str
    # The template of `Layout.tls_site`, which that site includes.
    tls_template: str
    # The file that all sites share; None if the kind needs none.
    shared: Optional[Path]
    # The folder of sites, where no one else has files there: it goes with the last application.
    own_folder: Optional[Path]
    # The templates of what that site includes from the folder `Layout.maintenance`, by file name;
    # one that declares something comes before one that names it.
    maintenance_templates: Mapping[str, str]
    # The distribution's default site; setup disables it for an app without a server name.
    default_site: Path
    # The command that prints its version, on standard output or error.
    version_command: Tuple[str, ...]
    # The command that tests the whole configuration; exit code 0 if it is valid.
    test_command: Tuple[str, ...]
    # Whether a reload of a broken configuration stops it.
    dies_of_reload: bool
    # Where it says why it ended, besides its unit's log.
    log: Optional[Path]
    # The error log of the server as a whole.
    error_log: Path
    # Finds a status of 5xx in the bytes of an access log, faster than `visits`.
    failed: "re.Pattern[bytes]"
    # For this long it may pass over an upstream that could not be reached.
    retry_seconds: float
    # Whether it takes an answer before its visitor does, so that slow visitors hold no worker.
    buffers_answers: bool
    # Whether it can limit the number of a client's requests in a time.
    limits_rates: bool

    def site(self, name: str) -> Path:
        """The file of a site; `name` is the application's, or begins with it."""

    def reads(self, site: Path) -> bool:
        """Whether the web server reads a site's file of this path, once it exists."""

    def logs(self, name: str) -> Tuple[Path, Path]:
        """A site's access log and error log."""

    def word(self, value: str) -> str:
        """One word of its configuration. Raises ValueError for text that is not allowed there."""

    def token_text(self, token: str) -> str:
        """The text of `Layout.probe_map`, from which the site knows our own probes."""

    def version_in(self, output: str) -> Optional[str]:
        """The version in the output of `version_command`."""

    def complaint(self, output: str, staged: "Optional[Staged]" = None) -> str:
        """The error in the output of `test_command`, with file and line. `staged` are the texts
        that it has tested instead of what is installed."""

    def overlooked(self, output: str, laid: Sequence[Tuple[str, str]]) -> str:
        """What would end it at a reload although its test, with this output, accepts it; in the
        words of that test, "" if nothing. `laid` are files and folders, each with the place over
        which the test had laid it."""

    def make_room(self, main_pid: int) -> None:
        """Called before each reload: end processes that would leave no place for new ones."""

    def taken_name(self, output: str, names: Sequence[str]) -> Optional[str]:
        """The first of our server names that another site has, where only the test says so."""

    def shared_text(self) -> str:
        """The text of `shared` on this host: what many sites with long names need, without what
        other files say already. It depends on the host alone, not on an application."""

    def extra_problems(self, text: str) -> "List[Tuple[int, str]]":
        """The mistakes in a user's own lines for a site (web.extra), each with its line: whatever
        would end what the site template promises."""

    def http2(self, version: str, *, shares_port: bool) -> str:
        """How the template turns HTTP/2 on for this version of the web server: by a "directive", as
        a parameter of "listen", or "" (it stays off). `shares_port`: other sites use the port of
        HTTPS too."""

    def tls_of(self, text: str) -> "Optional[TlsSite]":
        """What the text of `Layout.tls_site` says; None if it serves nothing."""

    def user(self) -> str:
        """The user that its workers run as on this host."""

    def sends_brotli(self) -> bool:
        """Whether it can send ready-made files (.br) on this host."""

    def installed(self) -> Installed:
        """What its configuration on this host says."""

    def main_pid(self, of_unit: int) -> int:
        """The process that has all others as children; `of_unit` is the one that systemd takes for
        it."""

    def taking_connections(self, pids: Iterable[int]) -> Set[int]:
        """Those of its processes that take new connections; after a reload those of the old
        configuration soon do not any more."""

    def live_upstream(self, at: "Layout") -> str:
        """Its name for the live instance, in its answers to probes and in its log."""

    def answer(self, header: str) -> Optional[Answer]:
        """The value of X-Cartwheel-Probe; None for anything else."""

    def request(self, line: bytes) -> Optional[Request]:
        """One line of a site's access log; None where no upstream answered, for our own probes,
        and for lines of another format."""

    def look_at(self, line: str) -> Tuple[Optional[float], bool]:
        """The time that a line of either log names (seconds since the epoch), and whether the line
        reports an error: a failure, or an answer of 5xx."""

    def visits(self, data: bytes) -> Iterator[Visit]:
        """The requests in whole lines of an access log, without lines of another format."""

    def trouble(self, line: str) -> Optional[Trouble]:
        """What a line of an error log reports; None where a healthy site has such lines too."""
