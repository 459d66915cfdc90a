"""One session with a real host side behind a real sshd."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cartwheel.errors import CartwheelError, ConnectError, HostError
from cartwheel.host.system import transfer
from cartwheel.host.wire.messages import Told
from cartwheel.ssh.bundle import Bundle, host_bundle
from cartwheel.ssh.session import Session, SkippedError
from cartwheel.ssh.uplink import Uplink
from tests.kit.waiting import is_alive, until
from tests.ssh.asking import asking
from tests.ssh.conftest import Open, StartSshd
from tests.ssh.relay import Relay
from tests.ssh.sshd import Sshd

pytestmark = pytest.mark.ssh
MIB = 1 << 20


@pytest.fixture
def relay(sshd: Sshd) -> Iterator[Relay]:
    one = Relay(sshd.port)
    yield one
    one.close()


def through(relay: Relay, sshd: Sshd, **changes: Any) -> Any:
    """The target behind the relay: its key is known under the relay's port too."""
    with sshd.known_hosts.open("a") as file:
        file.write(f"[127.0.0.1]:{relay.port} {sshd.public_key()}\n")
    return sshd.target(port=relay.port, **changes)


class TestRequests:
    def test_an_answer_and_four_round_trips(self, session: Session) -> None:
        sent = {"text": "ö\n", "n": [1, None]}
        assert session.request(asking("echo", sent)) == sent
        assert session.python.startswith("3.")
        session.close()
        assert session.round_trips == 4  # the channel, the greeting, the request, the end

    def test_hello_of_the_real_bundle(self, sshd: Sshd, open_to: Open) -> None:
        session = open_to(sshd.target(), bundle=host_bundle())
        facts = session.request(asking("hello"))
        assert facts["uid"] == os.geteuid()

    def test_pipelined_requests_are_one_round_trip(self, session: Session) -> None:
        pending = [session.submit(asking("memory")) for _ in range(20)]
        assert [each.result()["count"] for each in pending] == list(range(1, 21))
        assert session.round_trips == 3
        session.request(asking("memory"))
        assert session.round_trips == 4

    def test_the_wire_agrees_with_the_counter(self, sshd: Sshd, open_to: Open) -> None:
        """At a delay the time of a request is that of one round trip, not of two."""
        relay = Relay(sshd.port, delay_seconds=0.1)
        try:
            session = open_to(through(relay, sshd))
            session.request(asking("echo"))
            begun = time.monotonic()
            session.request(asking("echo"))
            assert time.monotonic() - begun < 0.35  # one is 0.2 s, two are 0.4 s
        finally:
            relay.close()

    def test_no_nagle_delay(self, session: Session) -> None:
        session.request(asking("echo"))
        begun = time.monotonic()
        for _ in range(50):
            session.request(asking("echo"))
        assert (time.monotonic() - begun) / 50 < 0.03  # with Nagle each takes 0.04 s

    def test_after_a_failure_its_group_is_skipped_and_others_are_not(
        self, session: Session
    ) -> None:
        first = session.submit(asking("echo", {"n": 1}), group="a")
        failing = session.submit(asking("fail"), group="a")
        skipped = session.submit(asking("memory"), group="a", blob=b"unused")
        other = session.submit(asking("memory"), group="b")
        assert first.result() == {"n": 1}
        with pytest.raises(HostError) as caught:
            failing.result()
        assert (caught.value.slug, caught.value.hint) == ("deadline", "try less")
        assert caught.value.detail == "line 1\nline 2"
        assert caught.value.host == "box"
        with pytest.raises(SkippedError):
            skipped.result()
        assert other.result() == {"count": 1}

    def test_a_crash_shows_the_source_line(self, session: Session) -> None:
        with pytest.raises(HostError, match="one over nothing") as caught:
            session.request(asking("crash"))
        assert caught.value.slug == "host-side"
        assert 'raise ZeroDivisionError("one over nothing")' in caught.value.detail
        assert session.request(asking("echo", {"still": "there"})) == {"still": "there"}

    def test_an_unknown_operation_and_an_unsendable_answer(self, session: Session) -> None:
        with pytest.raises(HostError, match="no operation 'nonsense'"):
            session.request(asking("nonsense"))
        with pytest.raises(HostError, match="cannot be sent"):
            session.request(asking("answer_with"))

    def test_events_come_in_order(self, session: Session) -> None:
        events: list[Told] = []
        session.request(asking("sleep", {"seconds": 0.01}), on_event=events.append)
        assert [(each["step"], each["state"]) for each in events] == [("sleep", "start")]

    def test_a_listener_that_fails_fails_its_request_only(self, session: Session) -> None:
        def listener(_event: object) -> None:
            raise LookupError("listener")

        with pytest.raises(LookupError):
            session.request(asking("sleep", {"seconds": 0.2}), on_event=listener)
        assert session.request(asking("echo")) == {}

    def test_the_host_ends_an_operation_at_its_deadline(self, session: Session) -> None:
        begun = time.monotonic()
        with pytest.raises(HostError) as caught:
            session.request(asking("sleep", {"seconds": 30}), deadline_seconds=0.3)
        assert caught.value.slug == "deadline"
        assert time.monotonic() - begun < 5

    def test_noise_does_not_reach_the_channel(self, session: Session) -> None:
        assert session.request(asking("noise")) == {"status": 0, "stdin": ""}
        until(lambda: "from a child" in session._stderr_text())
        assert "printed" in session._stderr_text()


class TestVolume:
    def test_a_blob_of_50_mb(self, session: Session, tmp_path: Path) -> None:
        data = random.Random(1).randbytes(50 * MIB)
        path = tmp_path / "blob"
        path.write_bytes(data)
        begun = time.monotonic()
        answer = session.request(asking("digest"), blob=path)
        assert answer == {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        assert time.monotonic() - begun < 30

    def test_a_slow_blob_is_told_of(
        self, sshd: Sshd, open_to: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transfer, "_EVERY_SECONDS", 0.2)
        relay = Relay(sshd.port, delay_seconds=0.05)  # 64 KiB each time: about 1 MB/s
        try:
            session = open_to(through(relay, sshd))
            told: list[Told] = []
            session.request(asking("digest"), blob=bytes(4 * MIB), on_event=told.append)
            assert len(told) >= 3
            assert {(one["step"], one["state"]) for one in told} == {("", "progress")}
            form = r"\d\.\d of 4\.2 MB sent \(\d+ %\), \d\.\d MB/s, \d+ s left"
            assert re.fullmatch(form, told[0]["detail"])
        finally:
            relay.close()

    def test_a_blob_that_does_not_arrive_is_given_up(
        self, sshd: Sshd, open_to: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The line lives, and what is sent is not whole in time."""
        monkeypatch.setattr("cartwheel.ssh.session.BEGIN_SECONDS", 1.0)
        monkeypatch.setattr("cartwheel.ssh.session.SLOWEST_BYTES_PER_SECOND", 100 * MIB)
        relay = Relay(sshd.port, delay_seconds=0.05)
        try:
            session = open_to(through(relay, sshd))
            session.request(asking("echo"))
            began = time.monotonic()
            with pytest.raises(CartwheelError, match="digest did not begin within 1 s") as caught:
                session.request(asking("digest"), blob=bytes(20 * MIB))
            assert caught.value.slug == "deadline"
            assert time.monotonic() - began < 10
        finally:
            relay.close()

    def test_what_waits_for_its_turn_is_not_given_up(
        self, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cartwheel.ssh.session.BEGIN_SECONDS", 0.5)
        session.request(asking("echo"))
        first = session.submit(asking("sleep", {"seconds": 1.5}))
        second = session.submit(asking("echo", {"n": 1}))
        assert second.result() == {"n": 1}
        first.result()  # it was carried out before

    def test_an_upload_waits_for_its_turn_and_keeps_its_lease(
        self, sshd: Sshd, open_to: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Longer than the lease and than what counts as stuck; and it says that it waits."""
        monkeypatch.setattr("cartwheel.ssh.session.BEGIN_SECONDS", 5.0)
        monkeypatch.setattr("cartwheel.ssh.session._TELL_SECONDS", 1.0)
        uplink = Uplink(1)
        session = open_to(sshd.target(lease_seconds=5), uplink=uplink)
        session.request(asking("echo"))
        told: list[Told] = []
        with ThreadPoolExecutor(1) as pool:
            with uplink.turn():
                pending = session.submit(asking("digest"), blob=bytes(MIB), on_event=told.append)
                answer = pool.submit(pending.result)
                with pytest.raises(TimeoutError):
                    answer.result(10)
            assert answer.result(30)["size"] == MIB
        waits: Told = {
            "step": "",
            "state": "progress",
            "detail": "waiting for its turn to be uploaded",
        }
        assert told.count(waits) >= 2

    def test_uploads_together_keep_to_the_rate(self, sshd: Sshd, open_to: Open) -> None:
        uplink = Uplink(2, MIB)
        sessions = [open_to(sshd.target(), uplink=uplink) for _ in range(2)]
        for session in sessions:
            session.request(asking("echo"))
        begun = time.monotonic()
        pending = [
            session.submit(asking("digest"), blob=bytes(3 * MIB // 2)) for session in sessions
        ]
        assert [one.result()["size"] for one in pending] == [3 * MIB // 2] * 2
        assert time.monotonic() - begun > 2.7  # 3 MiB less what goes out at once

    def test_a_slow_rate_is_no_reason_to_give_up(
        self, sshd: Sshd, open_to: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A piece of 128 KiB every seven seconds: longer than the lease and than what is stuck."""
        monkeypatch.setattr("cartwheel.ssh.session.BEGIN_SECONDS", 5.0)
        monkeypatch.setattr("cartwheel.ssh.session.SLOWEST_BYTES_PER_SECOND", 100 * MIB)
        session = open_to(sshd.target(lease_seconds=5), uplink=Uplink(1, 128 * 1024 / 7))
        session.request(asking("echo"))
        assert session.request(asking("digest"), blob=bytes(256 * 1024))["size"] == 256 * 1024

    def test_a_turn_is_given_back_by_who_is_cut_off_or_cancelled(
        self, sshd: Sshd, relay: Relay, open_to: Open
    ) -> None:
        uplink = Uplink(1)
        stuck = open_to(through(relay, sshd), uplink=uplink)
        stuck.request(asking("echo"))
        relay.black_hole()
        stuck.submit(asking("digest"), blob=bytes(30 * MIB))  # holds its turn: nothing moves
        waiting, third = (open_to(sshd.target(), uplink=uplink) for _ in range(2))
        given_up = waiting.submit(asking("digest"), blob=bytes(MIB))
        last = third.submit(asking("digest"), blob=bytes(MIB))
        begun = time.monotonic()
        assert waiting.cancel()
        assert time.monotonic() - begun < 5
        with pytest.raises(ConnectError):
            given_up.result()
        assert last.result()["size"] == MIB  # when the first one's silence was noticed

    def test_an_empty_blob(self, session: Session) -> None:
        assert session.request(asking("digest"), blob=b"")["size"] == 0

    def test_output_is_linear(self, session: Session) -> None:
        """27 MB took fabric's own `run` 49 s."""
        events: list[int] = []
        begun = time.monotonic()
        session.request(
            asking("talk", {"times": 27, "size": MIB}),
            on_event=lambda event: events.append(len(event["detail"])),
        )
        assert sum(events) == 27 * MIB
        assert time.monotonic() - begun < 15

    def test_a_blob_that_cannot_be_read(self, session: Session, tmp_path: Path) -> None:
        with pytest.raises(CartwheelError, match="missing cannot be read: No such file"):
            session.request(asking("digest"), blob=tmp_path / "missing")


class TestTheEnd:
    def test_functions_at_the_end_run_last_first_and_each_guarded(
        self, session: Session, tmp_path: Path
    ) -> None:
        path = tmp_path / "ends"
        for text, fail in (("first", False), ("second", True), ("third", False)):
            session.request(asking("at_end", {"path": str(path), "text": text, "fail": fail}))
        session.close()
        assert path.read_text().split() == ["third", "second", "first"]
        assert "an end that fails" in session._stderr_text()

    def test_cancel_stops_the_operation_and_waits_for_the_cleaning_up(
        self, session: Session, tmp_path: Path
    ) -> None:
        path = tmp_path / "ends"
        session.request(asking("at_end", {"path": str(path), "text": "cleaned"}))
        started = threading.Event()
        pending = session.submit(
            asking("sleep", {"seconds": 60}), on_event=lambda _event: started.set()
        )
        assert started.wait(10)
        begun = time.monotonic()
        assert session.cancel()
        assert time.monotonic() - begun < 5
        assert path.read_text() == "cleaned\n"
        with pytest.raises(ConnectError, match="stopped on request"):
            pending.result()

    def test_ctrl_c_gets_through_at_once(self, session: Session) -> None:
        started = threading.Event()
        main = threading.main_thread().ident
        assert main is not None

        def interrupt() -> None:
            started.wait(10)
            signal.pthread_kill(main, signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            session.request(asking("sleep", {"seconds": 60}), on_event=lambda _e: started.set())
        assert time.monotonic() - begun < 5
        assert session.cancel()

    def test_cancel_overtakes_an_upload(self, sshd: Sshd, open_to: Open, tmp_path: Path) -> None:
        relay = Relay(sshd.port, delay_seconds=0.05)  # 64 KiB each time: about 1 MB/s
        try:
            session = open_to(through(relay, sshd))
            session.request(asking("echo"))
            session.submit(asking("digest"), blob=bytes(30 * MIB))
            time.sleep(0.5)
            begun = time.monotonic()
            assert session.cancel()
            assert time.monotonic() - begun < 10
        finally:
            relay.close()

    def test_the_operators_death_ends_the_host_side(self, session: Session, tmp_path: Path) -> None:
        path = tmp_path / "ends"
        pid = session.request(asking("hello"))["pid"]
        session.request(asking("at_end", {"path": str(path), "text": "cleaned"}))
        started = threading.Event()
        session.submit(
            asking("lost_quietly", {"path": str(tmp_path / "lost")}),
            on_event=lambda _event: started.set(),
        )
        assert started.wait(10)
        session._connection.transport.sock.close()
        until(lambda: not is_alive(pid))
        assert path.read_text() == "cleaned\n"
        assert (tmp_path / "lost").read_text() == "lost"

    def test_an_operation_may_go_on_while_its_channel_breaks(
        self, session: Session, tmp_path: Path
    ) -> None:
        """Neither a closed channel, nor a print, nor a child's output aborts it."""
        path = tmp_path / "done"
        started = threading.Event()
        pid = session.request(asking("hello"))["pid"]
        session.submit(
            asking("stubborn", {"seconds": 1.5, "path": str(path)}),
            on_event=lambda _e: started.set(),
        )
        assert started.wait(10)
        session._connection.transport.sock.close()
        until(lambda: not is_alive(pid))
        assert path.read_text() == "done, lost"


class TestDeath:
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
    def test_a_signal_is_a_failure(self, session: Session, number: int) -> None:
        """P11: no exit status arrives."""
        with pytest.raises(ConnectError, match="without an exit status") as caught:
            session.request(asking("end_process", {"signal": int(number)}))
        assert caught.value.slug == "ssh-lost"

    @pytest.mark.parametrize(("status", "slug"), [(0, "ssh-lost"), (3, "host-side")])
    def test_an_early_end_is_a_failure(self, session: Session, status: int, slug: str) -> None:
        with pytest.raises(ConnectError, match=f"exit status {status}") as caught:
            session.request(asking("end_process", {"status": status}))
        assert caught.value.slug == slug

    def test_sigterm_puts_things_in_order(self, session: Session, tmp_path: Path) -> None:
        path = tmp_path / "ends"
        session.request(asking("at_end", {"path": str(path), "text": "cleaned"}))
        pid = session.request(asking("hello"))["pid"]
        os.kill(pid, signal.SIGTERM)
        until(path.exists)
        until(lambda: not is_alive(pid))

    def test_a_dead_peer_is_noticed_in_twelve_seconds(
        self, sshd: Sshd, relay: Relay, open_to: Open, tmp_path: Path
    ) -> None:
        """And the host notices too, by its lease, and puts things in order."""
        session = open_to(through(relay, sshd, lease_seconds=4))
        path = tmp_path / "ends"
        session.request(asking("at_end", {"path": str(path), "text": "cleaned"}))
        pid = session.request(asking("hello"))["pid"]
        relay.black_hole()
        begun = time.monotonic()
        with pytest.raises(ConnectError, match="noticed after") as caught:
            session.request(asking("sleep", {"seconds": 60}))
        assert caught.value.slug == "ssh-lost"
        assert 8 < time.monotonic() - begun < 12
        until(lambda: not is_alive(pid))
        assert path.read_text() == "cleaned\n"

    def test_the_lease_ends_while_the_operator_is_stopped(
        self, sshd: Sshd, open_to: Open, tmp_path: Path
    ) -> None:
        """The channel stays open here: only the silence says that the operator is gone."""
        session = open_to(sshd.target(lease_seconds=1.5))
        path = tmp_path / "ends"
        pid = session.request(asking("hello"))["pid"]
        session.request(asking("at_end", {"path": str(path), "text": "cleaned"}))
        with session._changed:  # the sending thread cannot beat
            until(lambda: not is_alive(pid))
        assert path.read_text() == "cleaned\n"

    def test_beats_keep_a_short_lease_through_a_long_operation(
        self, sshd: Sshd, open_to: Open
    ) -> None:
        session = open_to(sshd.target(lease_seconds=3))
        assert session.request(asking("sleep", {"seconds": 5})) == {}

    def test_a_cut_line_is_noticed_at_once(self, sshd: Sshd, relay: Relay, open_to: Open) -> None:
        session = open_to(through(relay, sshd))
        session.request(asking("echo"))
        pending = session.submit(asking("sleep", {"seconds": 60}))
        relay.cut()
        begun = time.monotonic()
        with pytest.raises(ConnectError) as caught:
            pending.result()
        assert caught.value.slug == "ssh-lost"
        assert time.monotonic() - begun < 3


SHELLS = [shell for shell in ("sh", "bash", "dash", "zsh", "fish") if shutil.which(shell)]


class TestStarting:
    def test_noise_of_start_up_files_is_skipped(
        self, sshd_factory: StartSshd, open_to: Open
    ) -> None:
        noise = "echo Welcome; echo CARTWHEEL-HELLO is what it says; printf 'no newline'; "
        sshd = sshd_factory(
            options={"ForceCommand": f'{noise} echo oops >&2; eval "$SSH_ORIGINAL_COMMAND"'}
        )
        assert open_to(sshd.target()).request(asking("echo", {"a": 1})) == {"a": 1}

    @pytest.mark.parametrize("shell", SHELLS)
    def test_the_command_survives_the_login_shell(
        self, sshd_factory: StartSshd, open_to: Open, shell: str
    ) -> None:
        sshd = sshd_factory(options={"ForceCommand": f'{shell} -c "$SSH_ORIGINAL_COMMAND"'})
        assert open_to(sshd.target()).request(asking("echo", {"a": 1})) == {"a": 1}

    @pytest.mark.parametrize("python", ["python3.999", "/nowhere/python3"])
    def test_no_python(self, sshd: Sshd, open_to: Open, python: str) -> None:
        with pytest.raises(ConnectError) as caught:
            open_to(sshd.target(python=python)).request(asking("echo"))
        assert caught.value.host == "box"
        assert (caught.value.slug, caught.value.message) == ("no-python", f"there is no {python}")

    def test_a_python_that_cannot_be_run(self, sshd: Sshd, open_to: Open, tmp_path: Path) -> None:
        (tmp_path / "python").write_text("")
        with pytest.raises(ConnectError, match=r"cannot be run: .*[Pp]ermission denied") as caught:
            open_to(sshd.target(python=str(tmp_path / "python"))).request(asking("echo"))
        assert caught.value.slug == "no-python"

    def test_an_old_python_is_refused(self, sshd: Sshd, open_to: Open, tmp_path: Path) -> None:
        """A real interpreter that says it is older: the greeting is all that counts."""
        old = tmp_path / "old-python"
        code = "import sys; sys.version_info=(3,8,20,'final',0); exec(sys.argv[1])"
        old.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} -I -c "{code}" "$@"\n')
        old.chmod(0o755)
        with pytest.raises(ConnectError, match=r"is Python 3\.8\.20; .* needs 3\.9") as caught:
            open_to(sshd.target(python=str(old))).request(asking("echo"))
        assert caught.value.slug == "no-python"

    def test_a_login_shell_that_refuses(self, sshd_factory: StartSshd, open_to: Open) -> None:
        sshd = sshd_factory(options={"ForceCommand": "echo This account is not available; exit 1"})
        with pytest.raises(ConnectError, match="This account is not available") as caught:
            open_to(sshd.target()).request(asking("echo"))
        assert caught.value.slug == "no-greeting"

    def test_nothing_is_left_of_a_session(self, session: Session) -> None:
        pid = session.request(asking("hello"))["pid"]
        session.close()
        assert not is_alive(pid)
        with pytest.raises(ConnectError, match=r"ended|closed"):
            session.request(asking("echo"))


def test_the_host_side_runs_on_the_oldest_python_it_promises(bundle: Bundle) -> None:
    """Every module of it compiles as Python 3.9 (a real 3.9 runs it in the lab)."""
    import ast

    from cartwheel import places

    for path in places.host_source().rglob("*.py"):
        with contextlib.nullcontext(path):
            ast.parse(path.read_text(), filename=str(path), feature_version=(3, 9))


def test_the_loader_is_safe_in_every_shell(bundle: Bundle) -> None:
    assert not set(bundle.loader) & set("'\\$%!\n")
    quoted = f"printf %s '{bundle.loader}'"
    for shell in SHELLS:
        done = subprocess.run([shell, "-c", quoted], capture_output=True, text=True, check=True)
        assert done.stdout == bundle.loader
