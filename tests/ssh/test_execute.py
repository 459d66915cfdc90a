"""Single commands and a terminal, against a real sshd."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cartwheel.errors import CartwheelError, ConnectError, UsageError
from cartwheel.ssh import execute
from cartwheel.ssh.connection import Gateways, StrictConnection
from tests.ssh.asking import said_to
from tests.ssh.conftest import StartSshd
from tests.ssh.relay import Relay
from tests.ssh.sshd import Sshd
from tests.ssh.test_session import through

pytestmark = pytest.mark.ssh


@pytest.fixture
def connection(sshd: Sshd, gateways: Gateways) -> Iterator[StrictConnection]:
    one = StrictConnection(sshd.target(), gateways)
    yield one
    one.close()


class TestScript:
    def test_lines_status_and_tail(self, connection: StrictConnection) -> None:
        lines: list[str] = []
        done = execute.run_script(
            connection, b"echo one; echo two >&2\nprintf three; exit 7\n", on_line=lines.append
        )
        assert done.status == 7
        # In which order two streams arrive nobody promises; each line is whole.
        assert sorted(lines) == ["one", "three", "two"]
        assert "three" in done.tail

    def test_a_long_script_and_its_long_output(self, connection: StrictConnection) -> None:
        """Both windows are full at once here; neither side may wait for the other for ever."""
        script = b"echo " + b"x" * 1000 + b"\n"
        count = 6000
        lines: list[str] = []
        begun = time.monotonic()
        done = execute.run_script(connection, script * count, on_line=lines.append)
        assert done.status == 0
        assert len(lines) == count
        assert time.monotonic() - begun < 20

    def test_a_signal_is_a_failure(self, connection: StrictConnection) -> None:
        with pytest.raises(ConnectError, match="without an exit status") as caught:
            execute.run_script(connection, b"kill -9 $$\n")
        assert caught.value.slug == "ssh-lost"

    def test_a_deadline(self, connection: StrictConnection) -> None:
        begun = time.monotonic()
        with pytest.raises(CartwheelError, match=r"did not end within 0\.5 s") as caught:
            execute.run_script(connection, b"sleep 60\n", deadline_seconds=0.5)
        assert caught.value.slug == "deadline"
        assert time.monotonic() - begun < 5

    def test_a_dead_peer(self, sshd: Sshd, gateways: Gateways) -> None:
        relay = Relay(sshd.port)
        connection = StrictConnection(through(relay, sshd), gateways)
        try:
            threading.Timer(0.5, relay.black_hole).start()
            begun = time.monotonic()
            with pytest.raises(ConnectError) as caught:
                execute.run_script(connection, b"sleep 60\n")
            assert caught.value.slug == "ssh-lost"
            assert time.monotonic() - begun < 13
        finally:
            connection.close()
            relay.close()


class TestCommand:
    def test_arguments_arrive_as_they_are(self, connection: StrictConnection) -> None:
        words = ["a b", "it's", '"', "$HOME", "*", "back\\slash", "new\nline", "ö", ""]
        code = "import json,sys; print(json.dumps(sys.argv[1:]))"
        assert json.loads(said_to(connection, ["python3", "-c", code, *words])) == words

    def test_noise_of_start_up_files_is_left_out(
        self, sshd_factory: StartSshd, gateways: Gateways
    ) -> None:
        sshd = sshd_factory(options={"ForceCommand": 'echo hello; eval "$SSH_ORIGINAL_COMMAND"'})
        connection = StrictConnection(sshd.target(), gateways)
        done = execute.run_script(connection, b"echo it\n")
        connection.close()
        assert done.tail == "it\n"


class TestInteractive:
    def test_it_needs_a_terminal(
        self, connection: StrictConnection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Path("/dev/null").open() as null:
            monkeypatch.setattr(sys, "stdin", null)
            with pytest.raises(UsageError):
                execute.interactive(connection, ["sh"])

    def test_a_terminal_its_size_and_the_status(self, sshd: Sshd, tmp_path: Path) -> None:
        """On a real pseudo-terminal: keys go there, output comes back, the size follows."""
        code = (
            "import sys; from pathlib import Path\n"
            "from cartwheel.ssh import execute\n"
            "from cartwheel.ssh.connection import Gateways, StrictConnection\n"
            "from cartwheel.ssh.target import Target\n"
            f"t = Target('box', '127.0.0.1', {sshd.port}, {sshd.target().user!r},"
            f" identities=(Path({str(sshd.identity)!r}),), identities_only=True,"
            f" known_hosts=(Path({str(sshd.known_hosts)!r}),))\n"
            "c = StrictConnection(t, Gateways())\n"
            "s = execute.interactive(c, ['sh', '-c', 'trap \"stty size\" WINCH; stty size;"
            " until read x; do :; done; echo got-$x; exit 5'])\n"
            "c.close(); print('status', s)\n"
        )
        pid, terminal = pty.fork()
        if pid == 0:  # pragma: no cover
            os.environ.pop("COLUMNS", None)
            os.environ.pop("LINES", None)
            os.execv(sys.executable, [sys.executable, "-c", code])
        try:
            output = bytearray()

            def until_seen(text: bytes) -> None:
                deadline = time.monotonic() + 15
                while text not in output:
                    assert time.monotonic() < deadline, bytes(output)
                    if select.select([terminal], [], [], 0.1)[0]:
                        try:
                            output.extend(os.read(terminal, 4096))
                        except OSError:
                            raise AssertionError(bytes(output)) from None

            until_seen(b"\r\n")
            _resize(terminal, 33, 99)
            os.kill(pid, signal.SIGWINCH)
            until_seen(b"33 99")
            os.write(terminal, b"word\r")
            until_seen(b"got-word")
            until_seen(b"status 5")
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(terminal)


def _resize(fd: int, lines: int, columns: int) -> None:
    import termios

    termios.tcsetwinsize(fd, (lines, columns))
