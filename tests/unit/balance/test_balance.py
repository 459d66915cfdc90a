"""Balancers through a command or an HTTP call, and what is remembered of who is out."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from cartwheel.balance.command import command_hook
from cartwheel.balance.hooks import Hooked
from cartwheel.balance.http import http_hook
from cartwheel.balance.memory import Memory
from cartwheel.errors import CartwheelError, Exit, HostError, UsageError
from cartwheel.events import Event, silent
from cartwheel.fleet.balancer import State, lacking
from cartwheel.hidden import Hidden
from cartwheel.host.wire.balancer import By
from cartwheel.plan.balancing import Member
from cartwheel.settings.toml_tables import Balancer

WEB1 = Member("root@web1", "web1", "192.0.2.1:80")
MEMBERS = {name: Member(name, name, "192.0.2.1:80") for name in ("a", "b", "c")}


class Told:
    """A hook that remembers what it was told, and fails where it should."""

    def __init__(self, failing: str = "") -> None:
        self.calls: list[tuple[str, str]] = []
        self.failing = failing

    def __call__(self, action: str, member: Member) -> None:
        self.calls.append((action, member.name))
        if action == self.failing:
            raise HostError("balancer", "no", host=member.name)


def hooked(folder: Path, hook: Told, by: By = "deploy") -> Hooked:
    return Hooked(hook, MEMBERS, Memory(folder / "out.json"), 5.0, by)


def test_out_and_back(tmp_path: Path) -> None:
    hook = Told()
    balancer = hooked(tmp_path, hook)
    assert balancer.out(["a", "x"]) == {}
    assert balancer.memory.read() == {"a": "deploy"}
    assert balancer.back(["a", "b"]) == {}
    assert hook.calls == [("out", "a"), ("back", "a")], "b was not out, x is not behind it"
    assert balancer.memory.read() == {}


def test_one_that_cannot_be_put_back_needs_a_person(tmp_path: Path) -> None:
    balancer = hooked(tmp_path, Told("back"))
    balancer.out(["a"])
    error = balancer.back(["a"])["a"]
    assert (error.slug, error.exit_code) == ("balancer-stuck", Exit.ATTENTION)
    assert str(error) == "a: could not be returned to the balancer: no [CW803]"
    assert error.hint == "Run `fab balancer.back -H a`."
    assert balancer.memory.read() == {"a": "deploy"}


def test_one_that_cannot_be_taken_out(tmp_path: Path) -> None:
    error = hooked(tmp_path, Told("out")).out(["a"])["a"]
    assert str(error) == "a: could not be taken out: no [CW801]"


def test_the_next_run_puts_back_what_a_death_left_out(tmp_path: Path) -> None:
    hooked(tmp_path, Told()).out(["a"])
    hooked(tmp_path, Told(), "person").out(["b"])
    hook = Told()
    assert hooked(tmp_path, hook).close() == {}
    assert hook.calls == [("back", "a")]
    assert hooked(tmp_path, hook).memory.read() == {"b": "person"}


def test_a_deploy_leaves_out_what_a_person_took_out(tmp_path: Path) -> None:
    hooked(tmp_path, Told(), "person").out(["a"])
    balancer = hooked(tmp_path, Told())
    balancer.out(["a"])
    balancer.back(["a"])
    assert balancer.memory.read() == {"a": "person"}
    hooked(tmp_path, Told(), "person").back(["a"])
    assert balancer.memory.read() == {}


def test_nobody_would_be_left(tmp_path: Path) -> None:
    balancer = hooked(tmp_path, Told())
    balancer.refuse([["a", "b"], ["c"]])
    hooked(tmp_path, Told(), "person").out(["c"])
    with pytest.raises(UsageError, match="with a, b out at once no host would be left") as found:
        balancer.refuse([["a", "b"], ["c"]])
    assert found.value.slug == "balancer-empty"


def test_the_only_host_is_not_taken_out(tmp_path: Path) -> None:
    hook = Told()
    balancer = Hooked(hook, {"a": MEMBERS["a"]}, Memory(tmp_path / "out.json"), 5.0)
    balancer.refuse([["a"]])
    assert balancer.out(["a"]) == balancer.back(["a"]) == {}
    assert hook.calls == []


def test_two_runs_from_here_go_one_after_the_other(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "out.json")
    with memory.held(0):
        with pytest.raises(CartwheelError) as found, memory.held(0.2):
            pass
        assert found.value.slug == "locked"
    with memory.held(0):
        pass


def test_a_damaged_memory_says_so(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("{")
    with pytest.raises(UsageError, match=r"out\.json is damaged"):
        Memory(tmp_path / "out.json").read()


# -- a command


def test_a_command_knows_what_to_do(tmp_path: Path) -> None:
    events: list[Event] = []
    text = "echo hello; env | grep ^CARTWHEEL_ | grep -v ^CARTWHEEL_LAB_ | sort > said"
    command_hook(text, tmp_path, "shop.live", 20, events.append)("out", WEB1)
    assert (tmp_path / "said").read_text().splitlines() == [
        "CARTWHEEL_ACTION=out",
        "CARTWHEEL_ADDRESS=192.0.2.1:80",
        "CARTWHEEL_APP=shop.live",
        "CARTWHEEL_HOST=root@web1",
        "CARTWHEEL_NAME=web1",
    ]
    assert [(one.state, one.detail, one.host) for one in events] == [
        ("progress", "hello", "root@web1")
    ]


@pytest.mark.parametrize(
    ("text", "seconds", "says"),
    [
        ("echo no such pool; exit 3", 20, "the balancer's command ended with 3: no such pool"),
        ("exit 1", 20, "the balancer's command ended with 1"),
        ("sleep 60", 0.3, "the balancer's command did not end within 0.3 s"),
    ],
)
def test_a_command_that_fails(tmp_path: Path, text: str, seconds: float, says: str) -> None:
    began = time.monotonic()
    with pytest.raises(HostError) as found:
        command_hook(text, tmp_path, "shop", seconds, silent)("back", WEB1)
    assert (found.value.slug, found.value.message) == ("balancer", says)
    assert time.monotonic() - began < 20


# -- a call


class Site(BaseHTTPRequestHandler):
    """Answers what its path says, and remembers what it was asked."""

    asked: ClassVar[list[tuple[str, str, str | None]]] = []

    def do_PUT(self) -> None:
        self.asked.append((self.command, self.path, self.headers["Authorization"]))
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("Location", "/200/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        return None


@pytest.fixture
def site() -> Iterator[str]:
    Site.asked.clear()
    with HTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def called(url: str) -> Balancer:
    headers = {"Authorization": "Bearer {secret} for {name}"}
    return Balancer(
        kind="http", url=url, method="PUT", headers=headers, timeout_seconds=5, drain_seconds=1
    )


def test_a_call_says_who_and_what(site: str) -> None:
    settings = called(f"{site}/204/{{app}}/{{name}}/{{host}}/{{address}}/{{action}}")
    http_hook(settings, "shop", Hidden("hunter2"))("out", WEB1)
    assert Site.asked == [
        ("PUT", "/204/shop/web1/root%40web1/192.0.2.1%3A80/out", "Bearer hunter2 for web1")
    ]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/404/", "the balancer answered 404"),
        ("/500/", "the balancer answered 500"),
        ("/302/", "the balancer answered 302"),
    ],
)
def test_a_call_that_fails(site: str, path: str, says: str) -> None:
    with pytest.raises(HostError) as found:
        http_hook(called(site + path), "shop", Hidden("hunter2"))("out", WEB1)
    assert (found.value.slug, found.value.message) == ("balancer", says)
    assert len(Site.asked) == 1, "a redirect does not take the secret elsewhere"


def test_a_call_to_nobody() -> None:
    with pytest.raises(HostError, match=r"the balancer cannot be called: .*refused"):
        http_hook(called("http://127.0.0.1:1/"), "shop", None)("out", WEB1)


def test_the_memory_is_a_small_file(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "deep" / "out.json")
    memory.note(["a"], "deploy")
    assert json.loads(memory.path.read_text()) == {"a": "deploy"}
    assert [path.name for path in memory.path.parent.iterdir()] == ["out.json"]


IN, OUT, UNKNOWN = (
    State(name, "lb", is_in) for name, is_in in zip("abc", (True, False, None), strict=True)
)


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ([], []),
        ([IN], []),
        ([IN, OUT], []),
        ([OUT], [("", "no host is in the balancer lb")]),
        ([replace(OUT, balancer="-")], [("", "no host is in the balancer")]),
        ([IN, UNKNOWN], [("c", "the balancer lb does not know this host")]),
        ([replace(IN, down="nginx does not run")], [("lb", "nginx does not run")]),
        ([IN, replace(OUT, balancer="other")], [("", "no host is in the balancer other")]),
    ],
)
def test_what_keeps_visitors_away(states: list[State], said: list[tuple[str, str]]) -> None:
    found = list(lacking(states))
    assert [(one.host, one.message) for one in found] == said
    assert {one.slug for one in found} <= {"not-well"}
