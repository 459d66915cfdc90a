"""Fixtures of the ssh tier."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cartwheel.ssh.bundle import Bundle, make_bundle
from cartwheel.ssh.connection import Gateways
from cartwheel.ssh.session import Session, open_session
from cartwheel.ssh.target import Target
from tests.ssh.sshd import Sshd, start_sshd

StartSshd = Callable[..., Sshd]
Open = Callable[..., Session]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No key, agent or known_hosts of the person who runs the tests takes part."""
    path = tmp_path / "home"
    (path / ".ssh").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return path


@pytest.fixture
def sshd_factory(tmp_path: Path) -> Iterator[StartSshd]:
    started: list[Sshd] = []

    def start(**named: Any) -> Sshd:
        server = start_sshd(tmp_path / f"sshd{len(started)}", **named)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def sshd(sshd_factory: StartSshd) -> Sshd:
    return sshd_factory()


@pytest.fixture
def gateways() -> Iterator[Gateways]:
    pool = Gateways()
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """The host side with the operations of ops.py here in place of the real ones."""
    return make_bundle(
        {"cartwheel.host.session.operations": Path(__file__).with_name("ops.py").read_text()}
    )


@pytest.fixture
def open_to(gateways: Gateways, bundle: Bundle) -> Iterator[Open]:
    sessions: list[Session] = []

    def open_one(target: Target, **named: Any) -> Session:
        session = open_session(target, gateways, **{"bundle": bundle, **named})
        sessions.append(session)
        return session

    yield open_one
    for session in sessions:
        session.close(5)


@pytest.fixture
def session(sshd: Sshd, open_to: Open) -> Session:
    return open_to(sshd.target())
