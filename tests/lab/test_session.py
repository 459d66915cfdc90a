"""What only a real system has: sudo with and without a password, systemd, an old Python."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cartwheel.errors import ConnectError
from cartwheel.hidden import Hidden
from cartwheel.ssh import execute
from cartwheel.ssh.bundle import Bundle, make_bundle
from cartwheel.ssh.connection import Gateways, StrictConnection
from cartwheel.ssh.session import Session, open_session
from cartwheel.ssh.startup import UnitSpec
from cartwheel.ssh.target import Target
from cartwheel_lab import LabHost
from tests.kit.tiers import tiered
from tests.lab.conftest import GetHosts
from tests.ssh.asking import asking

Open = Callable[..., Session]


def target_of(host: LabHost, user: str, **changes: Any) -> Target:
    fields: dict[str, Any] = {
        "identities": (host.identity,),
        "identities_only": True,
        "known_hosts": (host.known_hosts,),
    }
    return Target(host.name, host.address, host.port, user, **{**fields, **changes})


@pytest.fixture
def gateways() -> Iterator[Gateways]:
    pool = Gateways()
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    ops = Path(__file__).parent.parent / "ssh/ops.py"
    return make_bundle({"cartwheel.host.session.operations": ops.read_text()})


@pytest.fixture(scope="module")
def login_host(
    request: pytest.FixtureRequest, hosts: GetHosts, module_host: LabHost
) -> Iterator[LabHost]:
    """`module_host`, or, asked for "sudo-rs", a host whose sudo is written in Rust."""
    if getattr(request, "param", "sudo") == "sudo":
        yield module_host
        return
    (host,) = hosts(suite="trixie")
    host.reset()
    host.sh(
        "export DEBIAN_FRONTEND=noninteractive; apt-get -qq update;"
        " apt-get -qqy install sudo-rs >/dev/null;"
        " ln -s /usr/bin/sudo-rs /usr/local/bin/sudo",
        timeout=120,
    )
    yield host
    host.reset()


@pytest.fixture
def open_as(login_host: LabHost, gateways: Gateways, bundle: Bundle) -> Iterator[Open]:
    opened: list[Session] = []

    def open_one(user: str, *, unit: UnitSpec | None = None, **changes: Any) -> Session:
        target = target_of(login_host, user, **changes)
        session = open_session(target, gateways, unit=unit, bundle=bundle)
        opened.append(session)
        return session

    yield open_one
    for each in opened:
        each.close(5)


# Plain sudo is in every run too, by a whole deploy: tests/lab/test_failures_ssh.py.
@pytest.mark.parametrize(
    "login_host", tiered(["sudo", "sudo-rs"], nightly={"sudo"}), indirect=True, scope="module"
)
class TestSudo:
    def test_root_needs_none(self, open_as: Open) -> None:
        session = open_as("root")
        assert session.request(asking("hello"))["uid"] == 0
        session.close()
        assert session.round_trips == 4

    def test_without_a_password(self, open_as: Open) -> None:
        session = open_as("deploy")
        assert session.request(asking("hello"))["uid"] == 0
        session.close()
        assert session.round_trips == 4

    def test_a_password_that_is_not_asked_for_does_no_harm(self, open_as: Open) -> None:
        session = open_as("deploy", sudo_password=Hidden("not needed"))
        assert session.request(asking("echo", {"a": 1})) == {"a": 1}

    def test_with_a_password(self, open_as: Open, login_host: LabHost) -> None:
        for _ in range(2):  # also when sudo remembers the first one
            session = open_as("ops", sudo_password=Hidden(login_host.ops_password))
            assert session.request(asking("hello"))["uid"] == 0
            session.close()
            assert session.round_trips == 5  # and the prompt
        assert login_host.ops_password not in session._stderr_text()

    def test_a_wrong_password(self, open_as: Open) -> None:
        begun = time.monotonic()
        with pytest.raises(ConnectError, match="rejected the password") as caught:
            open_as("ops", sudo_password=Hidden("wrong")).request(asking("hello"))
        assert (caught.value.slug, "wrong" in str(caught.value)) == ("sudo-password", False)
        assert time.monotonic() - begun < 15

    @pytest.mark.parametrize("user", ["ops", "guest"])
    def test_no_password_is_known(self, open_as: Open, user: str) -> None:
        with pytest.raises(ConnectError) as caught:
            open_as(user).request(asking("hello"))
        # sudo-rs says at once who may not.
        told = {"sudo-password": f"asks '{user}' for a password", "sudo-missing": "I'm sorry guest"}
        assert told[caught.value.slug] in caught.value.message

    def test_a_user_who_may_not(self, open_as: Open, login_host: LabHost) -> None:
        with open_as("root") as root:
            root.request(asking("shell", {"argv": ["chpasswd"], "input": "guest:secret\n"}))
        with pytest.raises(
            ConnectError, match=r"may not use sudo: .*(not in the sudoers|I'm sorry guest)"
        ) as caught:
            open_as("guest", sudo_password=Hidden("secret")).request(asking("hello"))
        assert caught.value.slug == "sudo-missing"

    def test_no_python_under_sudo(self, open_as: Open) -> None:
        with pytest.raises(ConnectError, match=r"there is no python3\.99") as caught:
            open_as("deploy", python="python3.99").request(asking("hello"))
        assert caught.value.slug == "no-python"

    def test_login_with_a_password(self, open_as: Open, login_host: LabHost) -> None:
        word = Hidden(login_host.ops_password)
        session = open_as("ops", identities=(), password=word, sudo_password=word)
        assert session.request(asking("hello"))["uid"] == 0
        with pytest.raises(ConnectError, match=r"password \(refused\)"):
            open_as("ops", identities=(), password=Hidden("wrong"))

    def test_a_script(self, login_host: LabHost, gateways: Gateways) -> None:
        for user, password in (
            ("root", None),
            ("deploy", None),
            ("ops", Hidden(login_host.ops_password)),
        ):
            target = target_of(login_host, user, sudo_password=password)
            connection = StrictConnection(target, gateways)
            done = execute.run_script(connection, b"id -u; cat /etc/shadow | wc -l\n")
            assert (done.status, done.tail.split()[0]) == (0, "0")
            connection.close()


class TestUnit:
    def test_a_kill_takes_the_children_and_runs_stop_post(self, open_as: Open) -> None:
        spec = UnitSpec(
            "cartwheel-test", ("/bin/sh", "-c", '"echo stopped > /run/stopped"'), "A test"
        )
        session = open_as("deploy", unit=spec)
        facts = session.request(asking("shell", {"argv": ["cat", "/proc/self/cgroup"]}))
        assert "cartwheel-test.service" in facts["output"]
        pid = session.request(asking("hello"))["pid"]
        child = session.request(asking("child"))["pid"]
        with open_as("root") as root:
            root.request(asking("shell", {"argv": ["kill", "-KILL", str(pid)]}))
            with pytest.raises(ConnectError, match="the host side ended"):
                session.request(asking("sleep", {"seconds": 30}))
            gone = root.request(
                asking("shell", {"argv": ["sh", "-c", f"kill -0 {child} || echo gone"]})
            )
            assert "gone" in gone["output"]
            stopped = root.request(asking("shell", {"argv": ["cat", "/run/stopped"]}))
            assert stopped["output"] == "stopped\n"

    def test_the_end_of_input_arrives_through_it(self, open_as: Open) -> None:
        session = open_as("root", unit=UnitSpec("cartwheel-test"))
        session.request(asking("at_end", {"path": "/run/at-end", "text": "cleaned"}))
        begun = time.monotonic()
        session.close()
        assert time.monotonic() - begun < 5
        assert session.round_trips == 4
        with open_as("root") as root:
            found = root.request(asking("shell", {"argv": ["cat", "/run/at-end"]}))
            assert found["output"] == "cleaned\n"

    def test_with_a_sudo_password(self, open_as: Open, module_host: LabHost) -> None:
        word = Hidden(module_host.ops_password)
        session = open_as("ops", sudo_password=word, unit=UnitSpec("cartwheel-test"))
        assert session.request(asking("echo", {"a": 1})) == {"a": 1}

    def test_two_at_once(self, open_as: Open) -> None:
        first = open_as("root", unit=UnitSpec("cartwheel-test"))
        first.request(asking("hello"))
        with pytest.raises(ConnectError, match=r"cartwheel-test.* is already running") as caught:
            open_as("root", unit=UnitSpec("cartwheel-test")).request(asking("hello"))
        assert caught.value.slug == "locked"
        assert first.request(asking("echo")) == {}

    def test_no_python_in_a_unit(self, open_as: Open) -> None:
        session = open_as("root", unit=UnitSpec("cartwheel-test"), python="python3.99")
        with pytest.raises(ConnectError) as caught:
            session.request(asking("hello"))
        assert caught.value.slug == "no-python"


def test_python_3_9_serves(hosts: GetHosts, gateways: Gateways, bundle: Bundle) -> None:
    host = hosts(1, suite="bullseye")[0]
    with open_session(target_of(host, "root"), gateways, bundle=bundle) as session:
        assert session.request(asking("digest"), blob=os.urandom(1 << 20))["size"] == 1 << 20
        assert session.python.startswith("3.9."), "as it says in its greeting"


@pytest.mark.nightly
def test_a_power_cut_is_noticed(host: LabHost, gateways: Gateways, bundle: Bundle) -> None:
    session = open_session(target_of(host, "root"), gateways, bundle=bundle)
    session.request(asking("hello"))
    host.power_cut()
    begun = time.monotonic()
    with pytest.raises(ConnectError) as caught:
        session.request(asking("sleep", {"seconds": 60}))
    assert caught.value.slug == "ssh-lost"
    assert time.monotonic() - begun < 12
