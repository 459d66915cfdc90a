"""Whether an instance proved itself, against real answers on a real socket."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cartwheel.host.layout import Layout
from cartwheel.host.process import drain, health
from cartwheel.host.process.web import Web
from cartwheel.host.system import context, systemd
from cartwheel.host.system.context import ContactLost, OpError
from cartwheel.host.system.systemd import UnitState
from cartwheel.host.wire.codec import from_disk, to_json
from cartwheel.host.wire.health import Probe
from tests.kit.waiting import until
from tests.unit.hostside import Session, web

PROBE = Probe("/healthz", "shop.example", "https", 200, 3, 0.15, 2.0, 0.3)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UP = UnitState("active", "running", 0, 0, None, None, "success")

Serve = Callable[[socket.socket], None]


class Instance:
    """Answers on a unix socket as `serve` does; `serve` may be changed at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requests: list[bytes] = []
        self.times: list[float] = []
        self.serve: Serve = send(OK)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(16)
        self._open: list[socket.socket] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        try:
            self.requests.append(connection.recv(65536))
            self.times.append(time.monotonic())
            self.serve(connection)
            connection.close()
        except OSError:
            pass

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()


def send(data: bytes) -> Serve:
    return lambda connection: connection.sendall(data)


def status(code: int, body: bytes = b"") -> Serve:
    return send(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (code, len(body), body))


def hang(connection: socket.socket) -> None:
    connection.recv(1)


def drip(data: bytes, pause: float = 0.05) -> Serve:
    def serve(connection: socket.socket) -> None:
        for number in range(len(data)):
            connection.sendall(data[number : number + 1])
            time.sleep(pause)

    return serve


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a socket's may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="cw") as name:
        yield Path(name)


@pytest.fixture
def instance(folder: Path) -> Iterator[Instance]:
    one = Instance(folder / "http.sock")
    yield one
    one.close()


@pytest.fixture(autouse=True)
def unit(monkeypatch: pytest.MonkeyPatch) -> dict[str, UnitState]:
    """What systemd says of the unit."""
    states = {"u": UP}
    monkeypatch.setattr(systemd, "state", lambda name: states[name])
    return states


def prove(instance: Instance, probe: Probe = PROBE, session: Session | None = None) -> int:
    return health.prove((session or Session()).ctx(), "u", instance.path, probe)


def test_it_asks_as_a_visitor_would(instance: Instance) -> None:
    assert health.ask_socket(instance.path, PROBE) == ""
    lines = instance.requests[0].decode().split("\r\n")
    assert lines[0] == "GET /healthz HTTP/1.1"
    assert {"Host: shop.example", "X-Forwarded-Proto: https", "Connection: close"} <= set(lines)
    assert len([line for line in lines if line.startswith("Host:")]) == 1


@pytest.mark.parametrize(
    ("serve", "wrong"),
    [
        (status(500, b"Traceback\nsecond line"), "/healthz answered 500 instead of 200: Traceback"),
        (status(301), "/healthz answered 301 instead of 200"),
        (status(204), "/healthz answered 204 instead of 200"),
        (status(503, b"x" * 5000), "/healthz answered 503 instead of 200: " + "x" * 100),
        (status(500, b"\xff\xfe"), "/healthz answered 500 instead of 200: "),
        (send(b""), "/healthz has no answer: RemoteDisconnected"),
        (send(b"SSH-2.0-OpenSSH_9\r\n"), "/healthz has no answer: BadStatusLine"),
        (send(b"\x00" * 100000), "/healthz has no answer: "),
        (send(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n"), "/healthz has no answer: "),
        (send(b"HTTP/1.1 abc\r\n\r\n"), "/healthz has no answer: BadStatusLine"),
        (hang, "/healthz did not answer within 0.3 s"),
        (drip(b"HTTP/1.1 200 OK\r\n\r\n" * 10), "/healthz did not answer within 0.3 s"),
        (drip(b"A" * 200), "/healthz did not answer within 0.3 s"),
        (
            lambda c: (
                send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")(c),
                drip(b"x" * 99)(c),
            )[0],
            "/healthz did not answer within 0.3 s",
        ),
    ],
)
def test_what_is_not_well(instance: Instance, serve: Serve, wrong: str) -> None:
    instance.serve = serve
    started = time.monotonic()
    assert health.ask_socket(instance.path, PROBE).startswith(wrong)
    assert time.monotonic() - started < 2, "every wait has an end"


@pytest.mark.parametrize(
    "serve",
    [
        send(b"HTTP/1.0 200\r\n\r\n"),
        send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n" + b"x" * 4096),
        send(b"HTTP/1.1 100 Continue\r\n\r\n" + OK),
    ],
)
def test_what_is_well(instance: Instance, serve: Serve) -> None:
    instance.serve = serve
    assert health.ask_socket(instance.path, PROBE) == ""


def test_further_paths_decide_too_and_may_redirect(instance: Instance) -> None:
    answers = {b"/healthz": send(OK), b"/": status(302), b"/shop": send(OK)}

    def by_path(connection: socket.socket) -> None:
        answers[instance.requests[-1].split()[1]](connection)

    instance.serve = by_path
    probe = replace(PROBE, also=("/", "/shop"))
    assert health.ask_socket(instance.path, probe) == ""
    assert [one.split()[1] for one in instance.requests] == [b"/healthz", b"/", b"/shop"]
    answers[b"/shop"] = status(404)
    assert health.ask_socket(instance.path, probe) == "/shop answered 404 instead of 2xx or 3xx"
    answers[b"/"] = status(500, b"no")
    wrong = "/ answered 500 instead of 2xx or 3xx: no"
    assert health.ask_socket(instance.path, probe) == wrong
    answers[b"/healthz"] = status(302)
    assert health.ask_socket(instance.path, probe).startswith("/healthz answered 302")


def test_a_huge_answer_is_not_read_whole(instance: Instance) -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    instance.serve = endless
    started = time.monotonic()
    assert health.ask_socket(instance.path, PROBE) == ""
    assert time.monotonic() - started < 0.3


def test_who_does_not_listen(folder: Path) -> None:
    assert health.ask_socket(folder / "none.sock", PROBE) == "it does not listen"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(folder / "dead.sock"))
    dead.close()
    assert health.ask_socket(folder / "dead.sock", PROBE) == "nothing listens on its socket"
    assert health.ask_socket(folder / ("x" * 200), PROBE) != ""


@pytest.mark.parametrize("probe", [replace(PROBE, path="/gesünd"), replace(PROBE, host="a\nb")])
def test_what_cannot_be_asked_is_a_reason_and_no_accident(instance: Instance, probe: Probe) -> None:
    assert "has no answer" in health.ask_socket(instance.path, probe)


def test_several_in_a_row_over_a_span(instance: Instance) -> None:
    started = time.monotonic()
    assert prove(instance) >= 3
    assert time.monotonic() - started >= PROBE.span_seconds
    assert instance.times[-1] - instance.times[0] >= PROBE.span_seconds


def test_one_bad_answer_begins_the_count_anew(instance: Instance) -> None:
    answers = iter([OK, OK, b"HTTP/1.1 500 X\r\n\r\n"])

    def serve(connection: socket.socket) -> None:
        connection.sendall(next(answers, OK))

    instance.serve = serve
    prove(instance)
    assert len(instance.requests) >= 6


def test_it_waits_for_a_slow_start(folder: Path) -> None:
    path = folder / "http.sock"
    late: list[Instance] = []
    threading.Timer(0.4, lambda: late.append(Instance(path))).start()
    try:
        assert health.prove(Session().ctx(), "u", path, PROBE) >= 3
    finally:
        until(lambda: late)[0].close()


def test_the_deadline_says_what_was_wrong_last(instance: Instance) -> None:
    instance.serve = status(500, b"no database")
    started = time.monotonic()
    with pytest.raises(OpError) as caught:
        prove(instance, replace(PROBE, deadline_seconds=0.4))
    assert caught.value.slug == "unhealthy"
    assert caught.value.message.endswith("/healthz answered 500 instead of 200: no database")
    assert 0.4 <= time.monotonic() - started < 1.5


@pytest.mark.parametrize(
    ("answer", "says", "hint"),
    [
        (status(404), "/healthz answered 404 instead of 200", "set health.path"),
        (
            send(b"HTTP/1.1 302 X\r\nLocation: /login?next=x\r\nContent-Length: 0\r\n\r\n"),
            "/healthz answered 302 (to /login?next=x) instead of 200",
            "It asks for a login",
        ),
        (
            status(400, b"<!doctype html>\n<title>Bad Request (400)</title>\n<h1>"),
            "/healthz answered 400 instead of 200: Bad Request (400)",
            "ALLOWED_HOSTS",
        ),
    ],
)
def test_an_answer_that_will_not_change_is_given_up(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, answer: Serve, says: str, hint: str
) -> None:
    """The whole deadline is for a slow start."""
    monkeypatch.setattr(health, "_STEADY_SECONDS", 0.2)
    instance.serve = answer
    with pytest.raises(OpError) as caught:
        prove(instance, replace(PROBE, deadline_seconds=3600))
    assert caught.value.message == f"not healthy: {says}"
    assert hint in caught.value.hint


def test_answers_that_may_pass_are_waited_for(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_STEADY_SECONDS", 0.05)
    answers = iter([*[status(503)] * 5, status(404), *[status(429)] * 5, status(404)])

    def serve(connection: socket.socket) -> None:
        next(answers, status(200))(connection)

    instance.serve = serve
    assert prove(instance) >= 3


def test_a_slow_start_names_the_setting(folder: Path) -> None:
    with pytest.raises(OpError) as caught:
        health.prove(Session().ctx(), "u", folder / "none", replace(PROBE, deadline_seconds=0.3))
    assert "health.deadline_seconds" in caught.value.hint


def test_a_flapping_instance_does_not_prove_itself(instance: Instance) -> None:
    turn = [0]

    def serve(connection: socket.socket) -> None:
        turn[0] += 1
        (status(200) if turn[0] % 3 else status(503))(connection)

    instance.serve = serve
    with pytest.raises(OpError, match="not healthy"):
        prove(instance, replace(PROBE, deadline_seconds=0.6))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (replace(UP, active="failed", result="exit-code"), "failed"),
        (replace(UP, active="activating", sub="auto-restart", result="exit-code"), "failed"),
        (replace(UP, restarts=1), "failed"),
    ],
)
def test_a_unit_that_failed_ends_the_waiting_at_once(
    folder: Path, unit: dict[str, UnitState], state: UnitState, message: str
) -> None:
    unit["u"] = state
    started = time.monotonic()
    with pytest.raises(OpError, match=message) as caught:
        health.prove(Session().ctx(), "u", folder / "none", replace(PROBE, deadline_seconds=9))
    assert caught.value.slug == "unhealthy"
    assert time.monotonic() - started < 2


def test_good_answers_of_a_restarted_unit_do_not_count(
    instance: Instance, unit: dict[str, UnitState]
) -> None:
    unit["u"] = replace(UP, restarts=1)
    with pytest.raises(OpError) as caught:
        prove(instance)
    assert caught.value.slug == "unhealthy"


def test_good_answers_of_a_unit_that_is_not_up_do_not_count(
    instance: Instance, unit: dict[str, UnitState]
) -> None:
    unit["u"] = replace(UP, active="activating", sub="start")
    with pytest.raises(OpError, match="its unit is not running"):
        prove(instance, replace(PROBE, deadline_seconds=0.4))


def test_lost_contact_ends_the_waiting(folder: Path) -> None:
    session = Session()
    threading.Timer(0.2, session.lost.set).start()
    with pytest.raises(ContactLost):
        health.prove(session.ctx(), "u", folder / "none", replace(PROBE, deadline_seconds=9))


def test_waiting_is_not_silent(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "NEWS_SECONDS", 0.1)
    session = Session()
    with pytest.raises(OpError):
        health.prove(session.ctx(), "u", folder / "none", replace(PROBE, deadline_seconds=0.4))
    assert {event["detail"] for event in session.events} == {"it does not listen"}


def watch(instance: Instance, front: Callable[[], str] = lambda: "", seconds: float = 0.3) -> None:
    class Host(Layout):
        def socket(self, one: object) -> Path:
            return instance.path

        def unit(self, one: object) -> str:
            return "u"

    def complaint() -> str:
        state = systemd.state("u")
        return Web().problem(Host("shop"), web("1.a"), PROBE, state) or front()

    health.watch(Session().ctx(), complaint, seconds=seconds)


def test_probation_watches_the_whole_time(instance: Instance) -> None:
    fronts: list[None] = []

    def front() -> str:
        fronts.append(None)
        return ""

    started = time.monotonic()
    watch(instance, front)
    assert time.monotonic() - started >= 0.3
    assert len(fronts) >= 2
    assert instance.times[-1] - instance.times[0] >= 0.2


def test_probation_ends_with_the_first_bad_answer(instance: Instance) -> None:
    for serve, front in ((status(500), lambda: ""), (send(OK), lambda: "through nginx: 502")):
        instance.serve = serve
        with pytest.raises(OpError, match="after the switch: ") as caught:
            watch(instance, front, seconds=30)
        assert caught.value.slug == "unhealthy"


@pytest.mark.parametrize("answer", [OK, b""], ids=["after its answer", "before it"])
def test_probation_notices_a_unit_that_died(
    instance: Instance, unit: dict[str, UnitState], answer: bytes
) -> None:
    """That its connection was torn is not the reason."""

    def die(connection: socket.socket) -> None:
        unit["u"] = replace(UP, active="failed", result="signal")
        connection.sendall(answer)

    instance.serve = die
    with pytest.raises(OpError, match=r"main process ended \(signal\)"):
        watch(instance, seconds=30)


def test_the_reload_is_waited_for_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["old", "old", ""])
    health.wait_for_reload(Session().ctx(), lambda: next(answers))
    assert next(answers, None) is None
    monkeypatch.setattr(health, "_RELOAD_SECONDS", 0.2)
    started = time.monotonic()
    health.wait_for_reload(Session().ctx(), lambda: "old")
    assert time.monotonic() - started < 2


# -- draining


@pytest.fixture
def backlog(folder: Path) -> Iterator[tuple[Path, socket.socket, list[socket.socket]]]:
    """A listening socket with three connections that nobody accepts yet."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "http.sock"))
    listener.listen(8)
    waiting = []
    for _ in range(3):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(folder / "http.sock"))
        waiting.append(client)
    yield folder / "http.sock", listener, waiting
    for one in (listener, *waiting):
        one.close()


Backlog = tuple[Path, socket.socket, list[socket.socket]]


def test_the_queue_is_what_waits_to_be_accepted(backlog: Backlog, folder: Path) -> None:
    path, listener, _waiting = backlog
    assert drain.queue_length(path) == 3
    listener.accept()[0].close()
    assert drain.queue_length(path) == 2
    assert drain.queue_length(folder / "http.soc") == 0, "a prefix is never a match"
    assert drain.queue_length(folder / "none") == 0


def test_what_is_open_was_accepted_and_not_closed(backlog: Backlog, folder: Path) -> None:
    path, listener, _waiting = backlog
    assert drain.open_connections(path) == 0, "they still wait"
    first, second = listener.accept()[0], listener.accept()[0]
    quiet = drain.Quiet(path)
    assert quiet.open == 0
    quiet.count()
    assert quiet.open == 2
    with second, first:
        assert drain.open_connections(folder / "http.soc") == 0, "a prefix is never a match"
    assert drain.open_connections(path) == 0


def test_draining_waits_for_the_queue(backlog: Backlog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "MIN_SECONDS", 0.1)
    monkeypatch.setattr(drain, "QUIET_SECONDS", 0.2)
    path, listener, waiting = backlog
    assert drain.Quiet(path).wait(0.4) is False
    accepted: list[float] = []

    def accept() -> None:
        for _ in waiting:
            listener.accept()[0].close()
        accepted.append(time.monotonic())

    threading.Timer(0.3, accept).start()
    assert drain.Quiet(path).wait(10)
    assert time.monotonic() - accepted[0] >= 0.19, "quiet for a while, not for an instant"


def test_draining_counts_from_when_the_traffic_moved(folder: Path) -> None:
    """The second counts from then; the half second from the first look that found nobody."""
    started = time.monotonic()
    assert drain.Quiet(folder / "gone", moved=started - 1).wait(5)
    assert drain.QUIET_SECONDS <= time.monotonic() - started < drain.MIN_SECONDS


def test_looks_while_the_new_one_is_watched_count(backlog: Backlog) -> None:
    """So that one look is enough afterwards; but anybody who waits starts it again."""
    path, listener, waiting = backlog
    quiet = drain.Quiet(path, moved=time.monotonic() - 2)
    assert not quiet.look()
    for _ in waiting:
        listener.accept()[0].close()
    assert not quiet.look()
    time.sleep(drain.QUIET_SECONDS)
    assert quiet.look()
    with socket.socket(socket.AF_UNIX) as late:
        late.connect(str(path))
        assert not quiet.look()
        listener.accept()[0].close()
        assert not quiet.look()


def test_draining_takes_a_moment_even_when_it_is_quiet(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert drain.MIN_SECONDS >= 1.0
    monkeypatch.setattr(drain, "MIN_SECONDS", 0.3)
    monkeypatch.setattr(drain, "QUIET_SECONDS", 0.1)
    started = time.monotonic()
    assert drain.Quiet(folder / "gone").wait(5)
    assert time.monotonic() - started >= 0.3


def test_the_probe_of_a_release_of_another_version_is_read() -> None:
    values = to_json(PROBE)
    assert "also" not in values, "an earlier version does not know it"
    assert from_disk(Probe, {**values, "surprise": 1}) == PROBE
    assert from_disk(Probe, {**values, "also": ["/", "/shop"]}).also == ("/", "/shop")


def test_systemd_is_asked_only_where_the_process_is_not(
    instance: Instance, unit: dict[str, UnitState], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that costs more than the question to the instance."""
    asked: list[str] = []

    def state(name: str) -> UnitState:
        asked.append(name)
        return unit[name]

    monkeypatch.setattr(systemd, "state", state)
    unit["u"] = replace(UP, main_pid=os.getpid())
    instance.serve = status(503)
    failing = Session()
    with pytest.raises(OpError, match="not healthy"):
        prove(instance, replace(PROBE, deadline_seconds=0.5), failing)
    assert len(asked) == 1
    unit["u"] = replace(UP, main_pid=0)
    with pytest.raises(OpError, match="not healthy"):
        prove(instance, replace(PROBE, deadline_seconds=0.5), failing)
    assert len(asked) > 3
