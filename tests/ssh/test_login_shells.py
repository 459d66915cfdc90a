"""Logins that do something else than they are told: nothing that we send may be run by them.

A real sshd and a real bash, with start-up files of every kind; other shells are in the lab.
"""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cartwheel.errors import ConnectError
from cartwheel.ssh import execute
from cartwheel.ssh.connection import Gateways, StrictConnection
from tests.ssh.asking import asking
from tests.ssh.conftest import Open, StartSshd
from tests.ssh.sshd import Sshd

pytestmark = pytest.mark.ssh

# What a start-up file does -> what the message must show.
STARTUP = {
    "exec-shell": ("echo one moment; exec sh", "one moment"),
    "exec-bash": ("exec bash --norc", "printed nothing"),
    "shell": ("bash --norc; exit", "printed nothing"),
    "exec-python": ("exec python3 -i", "printed"),
    "read": ('read -r line; printf %s "$line" >> eaten', "printed nothing"),
    "cat": ("cat >> eaten; exit", "printed nothing"),
    "menu": ("while read -r -p 'Your choice: ' x; do eval \"$x\"; done", "printed"),
    "end": ("echo Maintenance until noon; exit", "Maintenance until noon"),
    "no-such-shell": ("exec fish-that-is-not-there", "fish-that-is-not-there: not found"),
}
FORCED = {
    "nologin": ("/usr/sbin/nologin", "This account is currently not available."),
    "true": ("true", "printed nothing"),
    "menu": ("echo 1 backup; echo 2 restore; sh", "2 restore"),
    "git": ("git-shell -c \"$SSH_ORIGINAL_COMMAND\"", "fatal: unrecognized command"),
    "endless": ("exec yes welcome", "welcome"),
}  # fmt: skip


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that wait for input do so for ever."""
    monkeypatch.setattr("cartwheel.ssh.session.START_SECONDS", 1.5)
    monkeypatch.setattr("cartwheel.ssh.execute.START_SECONDS", 1.5)


class Login:
    """An account with a home of its own, and what lies in it."""

    def __init__(self, folder: Path, start: StartSshd) -> None:
        self.home = folder / "login"
        self.home.mkdir()
        # bash reads .bashrc where sshd started it, unless it is below another shell (SHLVL).
        self.start = start
        self.options = {"SetEnv": f"HOME={self.home} SHLVL=0"}

    def bashrc(self, text: str) -> Sshd:
        (self.home / ".bashrc").write_text(f"cd {self.home}\n{text}\n")
        return self.start(options=self.options)

    def forced(self, command: str) -> Sshd:
        return self.start(options={**self.options, "ForceCommand": f"cd {self.home}; {command}"})

    def assert_untouched(self) -> None:
        time.sleep(0.1)  # what would be run would be by now
        made = [path for path in self.home.iterdir() if path.name != ".bashrc"]
        # A file that the start-up file itself opens, or a shell's history, may be there: empty.
        assert [path for path in made if path.read_bytes()] == []
        assert {path.name for path in made} <= {"eaten", ".python_history", ".bash_history"}


@pytest.fixture
def login(tmp_path: Path, sshd_factory: StartSshd) -> Login:
    return Login(tmp_path, sshd_factory)


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("kind", STARTUP)
def test_a_start_up_file_gets_nothing_of_ours(login: Login, open_to: Open, kind: str) -> None:
    text, shown = STARTUP[kind]
    check(login, login.bashrc(text), open_to, shown)


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("kind", FORCED)
def test_a_forced_command_gets_nothing_of_ours(login: Login, open_to: Open, kind: str) -> None:
    command, shown = FORCED[kind]
    check(login, login.forced(command), open_to, shown)


def check(login: Login, sshd: Sshd, open_to: Open, shown: str) -> None:
    session = open_to(sshd.target())
    begun = time.monotonic()
    with pytest.raises(ConnectError) as caught:
        session.request(asking("echo", {"a": 1}), blob=b"touch strange\n" * 10)
    session.close(1)
    assert time.monotonic() - begun < 10
    assert (caught.value.slug, caught.value.host) == ("no-greeting", "box")
    assert shown in caught.value.message
    login.assert_untouched()


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("kind", ["exec-shell", "read", "end"])
def test_a_script_neither(login: Login, gateways: Gateways, kind: str) -> None:
    text, shown = STARTUP[kind]
    connection = StrictConnection(login.bashrc(text).target(), gateways)
    script = f"touch {login.home}/strange\n".encode()
    with pytest.raises(ConnectError) as caught:
        execute.run_script(connection, script)
    assert caught.value.slug == "no-greeting"
    assert shown in caught.value.message
    connection.close()
    login.assert_untouched()


def test_noise_and_tracing_do_no_harm(login: Login, open_to: Open, gateways: Gateways) -> None:
    """What is shown of a command is neither its greeting nor sudo's question."""
    sshd = login.bashrc("set -xv; echo Welcome; echo oops >&2; printf 'no newline'")
    assert open_to(sshd.target()).request(asking("echo", {"a": 1})) == {"a": 1}
    connection = StrictConnection(sshd.target(), gateways)
    done = execute.run_script(connection, b'echo "it\'s \\$HOME!"\n')
    connection.close()
    assert (done.status, done.tail) == (0, "it's $HOME!\n")


def test_a_session_that_nobody_needs_ends_before_it_begins(sshd: Sshd, open_to: Open) -> None:
    begun = time.monotonic()
    session = open_to(sshd.target())
    session.close()
    other = open_to(sshd.target())
    assert other.cancel()
    assert time.monotonic() - begun < 5
    assert "Traceback" not in session._stderr_text() + other._stderr_text()


def test_keys_typed_early_go_to_no_other_program(login: Login, tmp_path: Path) -> None:
    """`fab shell` where the login runs a shell of its own: what is typed there is not run."""
    sshd = login.bashrc("exec bash --norc")
    target = sshd.target()
    code = (
        "from pathlib import Path\n"
        "from cartwheel.errors import ConnectError\n"
        "from cartwheel.ssh import execute\n"
        "from cartwheel.ssh.connection import Gateways, StrictConnection\n"
        "from cartwheel.ssh.target import Target\n"
        "execute.START_SECONDS = 2\n"
        f"t = Target('box', '127.0.0.1', {sshd.port}, {target.user!r},"
        f" identities=(Path({str(sshd.identity)!r}),), identities_only=True,"
        f" known_hosts=(Path({str(sshd.known_hosts)!r}),))\n"
        "c = StrictConnection(t, Gateways())\n"
        "try:\n"
        "    execute.interactive(c, ['true'])\n"
        "except ConnectError as error:\n"
        "    print('slug', error.slug)\n"
        "c.close()\n"
    )
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover
        os.execv(sys.executable, [sys.executable, "-c", code])
    try:
        os.write(terminal, b"touch strange\r")
        seen, end = b"", time.monotonic() + 20
        while b"slug no-greeting" not in seen:
            assert time.monotonic() < end, seen
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 4096)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    login.assert_untouched()


WORDS = ["a b", "it's", '"', "$HOME", "*", "back\\slash", "what!", "!!", "[x]", "a;b", "ö", ""]


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_words_pass_through(sshd: Sshd, shell: str) -> None:
    from cartwheel.ssh.startup import quote

    code = "import json,sys; print(json.dumps(sys.argv[1:]))"
    line = " ".join(map(quote, [sys.executable, "-c", code, *WORDS]))
    done = subprocess.run([shell, "-c", line], capture_output=True, check=True)
    assert json.loads(done.stdout) == WORDS
