"""Real hosts for tests: one lab per test session, apart from the developer's own.

A session that was killed leaves its lab behind; the next session takes it away.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cartwheel import places
from cartwheel.errors import LabError
from cartwheel_lab import Lab, LabHost, record
from cartwheel_lab.lab import STATE_VARIABLE
from tests.kit.bases import READY
from tests.kit.faulting import DISK_MB, Shore, new_shore
from tests.kit.tiers import tiered
from tests.kit.web_servers import SERVERS, Server

GetHosts = Callable[..., list[LabHost]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test in this folder is a lab test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab of this session's own. `fab` in a subprocess finds its hosts by name too.

    Where hosts cannot run the tests fail and say why: they are never skipped in silence.
    """
    top = places.state_dir() / "lab-tests"
    top.mkdir(parents=True, exist_ok=True)
    folder = top / str(os.getpid())
    with record.locked(top.with_suffix(".lock"), print):
        _sweep(top)
        folder.mkdir()
        session = os.open(folder / "session", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(session, fcntl.LOCK_EX)
    lab = Lab(folder / "lab", emit=print)
    before = os.environ.get(STATE_VARIABLE)
    os.environ[STATE_VARIABLE] = str(lab.state)
    try:
        yield lab
    finally:
        if before is None:
            del os.environ[STATE_VARIABLE]
        else:
            os.environ[STATE_VARIABLE] = before
        lab.down()
        shutil.rmtree(folder)
        os.close(session)


def _sweep(top: Path) -> None:
    """Take away the labs of sessions that no longer hold their lock."""
    for folder in top.iterdir():
        session = os.open(folder / "session", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(session, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            Lab(folder / "lab").down()
            shutil.rmtree(folder)
        finally:
            os.close(session)


@pytest.fixture(scope="session")
def hosts(lab: Lab) -> GetHosts:
    """`hosts(count=1, suite="bookworm", python=True, packages="")`: hosts of a kind, made once and
    shared.

    They are as earlier tests left them; `host.reset()` gives one a fresh disk.
    """

    def get(
        count: int = 1, suite: str = "bookworm", python: bool = True, packages: str = ""
    ) -> list[LabHost]:
        try:
            return lab.up(count, suite, python=python, packages=packages)
        except LabError as error:
            pytest.fail(f"{error}\n{error.hint}\n{error.detail}", pytrace=False)

    return get


def _several(lab: Lab, hosts: GetHosts, count: int, packages: str = READY) -> list[LabHost]:
    """With fresh disks: those that an earlier test has used are reset."""
    used = {host.name for host in lab.hosts()}
    found = hosts(count, packages=packages)
    for host in found:
        if host.name in used:
            host.reset()
    return found


def _fresh(lab: Lab, hosts: GetHosts, packages: str = READY) -> Iterator[LabHost]:
    (host,) = _several(lab, hosts, 1, packages)
    yield host
    with suppress(LabError):  # the test may have taken the host away
        host.restore()
        host.network(delay_ms=0, bytes_per_second=0, services=True)


@pytest.fixture
def host(lab: Lab, hosts: GetHosts) -> Iterator[LabHost]:
    """A bookworm host with a fresh disk for this test alone.

    Like all but those of `hosts`, it already has the packages that `fab setup` installs.
    """
    yield from _fresh(lab, hosts)


@pytest.fixture
def bare_host(lab: Lab, hosts: GetHosts) -> Iterator[LabHost]:
    """Like `host`, but without the packages that `fab setup` installs."""
    yield from _fresh(lab, hosts, packages="")


@pytest.fixture(scope="module")
def module_host(lab: Lab, hosts: GetHosts) -> Iterator[LabHost]:
    """A bookworm host with a fresh disk at the module's start. Not together with `host`."""
    yield from _fresh(lab, hosts)


@pytest.fixture(scope="module", params=tiered(["nginx", "apache"], nightly={"apache"}))
def web_server(request: pytest.FixtureRequest) -> Server:
    """The kind of web server; the module's tests run with each."""
    return SERVERS[request.param]


@pytest.fixture(scope="module")
def web_host(lab: Lab, hosts: GetHosts, web_server: Server) -> Iterator[LabHost]:
    """A bookworm host with this web server, and a fresh disk at the story's start."""
    yield from _fresh(lab, hosts, packages=web_server.packages)


@pytest.fixture(scope="module")
def pair(lab: Lab, hosts: GetHosts) -> list[LabHost]:
    """Two bookworm hosts with fresh disks at the module's start."""
    return _several(lab, hosts, 2)


@pytest.fixture(scope="module")
def trio(lab: Lab, hosts: GetHosts) -> list[LabHost]:
    """Three bookworm hosts with fresh disks at the module's start."""
    return _several(lab, hosts, 3)


@pytest.fixture(scope="module")
def shore(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shore]:
    """A host for faults: with a disk of its own, which can be full, and set up."""
    host = lab.up(1, disk_mb=DISK_MB, packages=READY)[0]
    yield new_shore(host, tmp_path_factory.mktemp("shore"))
    lab.down([host.name])
