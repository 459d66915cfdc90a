"""No secret shows: not in output, arguments, journals, or a file that others can read.

Each kind of secret has a value found nowhere else (a sentinel). One deploy is traced on both
sides with strace. Every check is shown to catch a leak that is planted for it.
"""

from __future__ import annotations

import base64
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cartwheel.lab import Lab, LabHost
from tests.lab.project import CHECKOUT, Done, Project, get, new_project
from tests.ports import free_port

INDEX_USER = "reader"
_INDEX = Path(__file__).with_name("private_index.py")
# Everything a string may be: strace cuts nothing off that could hold a sentinel.
_STRACE = ["strace", "-f", "-qq", "-y", "-s", "300000"]
_CALLS = "execve,execveat,write,pwrite64,writev,open,openat,creat,chmod,fchmod,fchmodat"
_READABLE = "/etc /srv /var /run /tmp /usr/local /opt /home /root /dev/shm"


@dataclass(frozen=True)
class Stage:
    """A project full of secrets, and the host that it is deployed to as a user with sudo."""

    host: LabHost
    project: Project
    sentinels: Mapping[str, str]

    def fab(self, *words: str, code: int | None = 0) -> Done:
        return self.project.fab(*words, "-H", f"ops@{self.host.name}", code=code, timeout=280)

    def found_in(self, text: str) -> set[str]:
        """The kinds of secrets that are in this text."""
        return {kind for kind, value in self.sentinels.items() if value in text}


@pytest.fixture(scope="module")
def stage(
    module_host: LabHost, lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("secrets")
    home = folder / "home"
    home.mkdir()
    kinds = ("file", "command", "env", "dotenv", "index")
    sentinels = {kind: f"S3ntinel{kind}{secrets.token_hex(8)}" for kind in kinds}
    credentials = f"{INDEX_USER}:{sentinels['index']}"
    port = free_port()
    project = new_project(
        folder / "project",
        env={
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_STATE_HOME": str(home / "state"),
            "TMPDIR": str(home),
            "SECRET_OF_THE_OPERATOR": sentinels["env"],
        },
        settings=f"""
            [secrets]
            FROM_FILE = {{ file = "secret-file" }}
            FROM_COMMAND = {{ command = "cat secret-command" }}
            FROM_ENV = {{ env = "SECRET_OF_THE_OPERATOR" }}
            [index]
            url = "http://127.0.0.1:{port}/simple"
            username = "{INDEX_USER}"
            password = {{ file = "index-password" }}
            [ssh]
            sudo_password = {{ file = "sudo-password" }}
        """,
    )
    deploy_toml = project.folder / "config/deploy.toml"
    deploy_toml.write_text('env_file = ".env"\n' + deploy_toml.read_text())
    project.write("secret-file", sentinels["file"] + "\n")
    project.write("secret-command", sentinels["command"])
    project.write("index-password", sentinels["index"])
    project.write("sudo-password", module_host.ops_password)
    project.write(".env", f"FROM_DOTENV={sentinels['dotenv']}\n")
    sentinels["sudo"] = module_host.ops_password
    sentinels["index, encoded"] = base64.b64encode(credentials.encode()).decode()
    made = Stage(module_host, project, sentinels)
    with ExitStack() as stack:
        depot = str(lab.runtime / "depot.sock")
        stack.enter_context(private_index(None, port, depot, credentials))
        stack.enter_context(private_index(module_host, port, "3141", credentials))
        made.fab("setup")
        yield made


@contextmanager
def private_index(
    host: LabHost | None, port: int, upstream: str, credentials: str
) -> Iterator[None]:
    """The index with a password, on this machine's loopback or on the host's."""
    argv = [sys.executable, str(_INDEX), str(port), upstream]
    start = host.popen_in_netns if host else subprocess.Popen[bytes]
    process = start(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(credentials.encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


# --- what is looked at ---------------------------------------------------------------------


@dataclass(frozen=True)
class Trace:
    """What strace wrote: one call a line, data as it was."""

    text: str

    def calls(self, *names: str) -> Iterator[str]:
        wanted = tuple(f"{name}(" for name in names)
        for line in self.text.splitlines():
            call = re.sub(r"^\d+ +", "", line)
            if call.startswith(wanted):
                yield call

    def arguments(self) -> str:
        """All arguments of all programs that were started."""
        return "\n".join(self.calls("execve", "execveat"))

    def too_open(self, values: Mapping[str, str]) -> list[str]:
        """Files that were given a secret and that others could open, even for a moment."""
        got = {
            path
            for call in self.calls("write", "pwrite64", "writev")
            if any(value in call for value in values.values())
            for path in re.findall(r"^\w+\(\d+<(/[^>]*)>", call)
        }
        modes: list[str] = []
        for call in self.calls("open", "openat", "creat", "chmod", "fchmod", "fchmodat"):
            named = next((path for path in got if f'"{path}"' in call or f"<{path}>" in call), "")
            mode = re.search(r", 0([0-7]{3,4})\)? *(=|<unf|$)", call)
            if named and mode and int(mode[1], 8) & 0o077:
                modes.append(f"{named}: 0{mode[1]}")
        return modes

    def given(self, values: Mapping[str, str]) -> set[str]:
        """Files (no pipes, no sockets) that were given a secret."""
        return {
            path
            for call in self.calls("write", "pwrite64", "writev")
            if any(value in call for value in values.values())
            for path in re.findall(r"^\w+\(\d+<(/[^>]*)>", call)
        }


@contextmanager
def traced(host: LabHost, into: Path) -> Iterator[None]:
    """Trace everything that the host's init and sshd start, until the block ends."""
    sshd = host.sh("systemctl show -p MainPID --value ssh").strip()
    argv = [*_STRACE, "-e", f"trace={_CALLS}", "-o", str(into)]
    pids = ["-p", str(host.init.pid), "-p", str(outside(host, int(sshd)))]
    process = subprocess.Popen([*argv, *pids], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        until = time.monotonic() + 10
        while not is_traced(host.init.pid):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until, "strace does not attach"
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=60)


def is_traced(pid: int) -> bool:
    text = Path(f"/proc/{pid}/status").read_text()
    return "TracerPid:\t0\n" not in text


def outside(host: LabHost, pid: int) -> int:
    """A process of the host as this machine numbers it."""
    namespace = Path(f"/proc/{host.init.pid}/ns/pid").readlink()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            same = (entry / "ns/pid").readlink() == namespace
            numbers = re.search(r"^NSpid:\t(.*)$", (entry / "status").read_text(), re.MULTILINE)
        except OSError:
            continue
        if same and numbers and int(numbers[1].split()[-1]) == pid:
            return int(entry.name)
    raise AssertionError(f"no process {pid} in the host")


def guest_finds(stage: Stage) -> list[str]:
    """What holds a secret and can be read on the host by a user without rights: files,
    arguments and variables of processes."""
    patterns = "\n".join(stage.sentinels.values())
    script = (
        f"grep -rlFs -f - {_READABLE} | sed 's/^/file /'; "
        "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; true"
    )
    argv = stage.host.ssh_command(script, user="guest")
    done = subprocess.run(
        argv, input=patterns, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "sshd: guest" in done.stdout  # it did look
    lines = done.stdout.splitlines()
    return [line for line in lines if line.startswith("file /") or stage.found_in(line)]


def journal(host: LabHost) -> str:
    return host.sh("journalctl --no-pager --all -o verbose", timeout=120)


def kept_by_the_operator(stage: Stage) -> list[str]:
    """Files of the operator's cache, state and temporary folders that hold a secret."""
    home = Path(stage.project.env["HOME"])
    found = []
    for path in home.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            if any(value.encode() in data for value in stage.sentinels.values()):
                found.append(str(path))
    return found


def strace_fab(stage: Stage, into: Path, *words: str) -> tuple[Done, Trace]:
    """Run fab under strace; what it said, and every program that it started."""
    command = stage.project.command(*words, "-H", f"ops@{stage.host.name}")
    done = subprocess.run(
        [*_STRACE, "-e", f"trace={_CALLS}", "-o", str(into), *command],
        cwd=stage.project.folder,
        env=stage.project.environment(),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr), Trace(into.read_text(errors="replace"))


# --- the deploy ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Deployed:
    done: Done
    here: Trace
    there: Trace


@pytest.fixture(scope="module")
def deployed(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """The first deploy from an empty cache, with all that fab can say, traced on both sides."""
    folder = tmp_path_factory.mktemp("traces")
    with traced(stage.host, folder / "host"):
        done, here = strace_fab(stage, folder / "operator", "--debug", "deploy")
    assert done.code == 0, done.text[-5000:]
    return Deployed(done, here, Trace((folder / "host").read_text(errors="replace")))


def test_the_secrets_reach_the_app(stage: Stage, deployed: Deployed) -> None:
    kinds = {"FROM_FILE": "file", "FROM_COMMAND": "command", "FROM_ENV": "env"}
    for name, kind in {**kinds, "FROM_DOTENV": "dotenv"}.items():
        assert get(stage.host, f"/env/{name}") == f'"{stage.sentinels[kind]}"'


def test_no_output_shows_one(stage: Stage, deployed: Deployed) -> None:
    assert stage.found_in(deployed.done.text) == set()
    for words in (
        ("status",),
        ("env.list",),
        ("plan",),
        ("history",),
        ("logs", "--lines", "500"),
        ("doctor",),
        ("deploy", "--json"),
        ("--debug", "deploy"),
    ):
        done = stage.fab(*words)
        assert stage.found_in(done.text) == set(), words


def test_no_argument_holds_one(stage: Stage, deployed: Deployed) -> None:
    assert "fab" in deployed.here.arguments()
    assert stage.found_in(deployed.here.arguments()) == set()
    there = deployed.there.arguments()
    assert "sudo" in there  # the login
    assert "/bin/gunicorn" in there  # what systemd starts
    assert "--require-hashes" in there  # pip
    assert stage.found_in(there) == set()


def test_no_file_was_ever_open_to_others(stage: Stage, deployed: Deployed) -> None:
    given = deployed.there.given(stage.sentinels)
    assert any(re.search(r"/srv/shop/releases/[^/]+/\.?env", path) for path in given), given
    assert deployed.there.too_open(stage.sentinels) == []
    assert deployed.here.too_open(stage.sentinels) == []


def test_another_user_of_the_host_finds_none(stage: Stage, deployed: Deployed) -> None:
    assert guest_finds(stage) == []
    assert stage.found_in(journal(stage.host)) == set()


def test_the_operators_cache_keeps_none(stage: Stage, deployed: Deployed) -> None:
    assert (Path(stage.project.env["HOME"]) / "cache").is_dir()
    assert kept_by_the_operator(stage) == []


def test_a_wrong_index_password_is_one_clear_line(stage: Stage, deployed: Deployed) -> None:
    """On this side, where the lock is made; and on the host, where the lock is known already."""
    wrong = f"S3ntinelwrong{secrets.token_hex(8)}"
    stage.project.write("app/requirements.txt", "itsdangerous==2.2.0\n")
    stage.fab("plan")  # makes the lock: after it, the host's pip is the only one to ask
    with wrong_password(stage, wrong):
        there = stage.fab("deploy", code=1)
        stage.project.write("app/requirements.txt", "markupsafe==3.0.2\n")
        here = stage.fab("deploy", code=1)
    stage.project.write("app/requirements.txt", "")
    for done in (here, there):
        (line,) = [line for line in done.err.splitlines() if re.search(r"\[CW\d+\]$", line)]
        print(line)
        assert "127.0.0.1" in line
        assert " answers 401" in line
        assert wrong not in done.text
        assert stage.found_in(done.text) == set()
    assert get(stage.host) == "one"
    assert guest_finds(stage) == []
    assert wrong not in journal(stage.host)


@contextmanager
def wrong_password(stage: Stage, wrong: str) -> Iterator[None]:
    stage.project.write("index-password", wrong)
    try:
        yield
    finally:
        stage.project.write("index-password", stage.sentinels["index"])


def test_a_wrong_sudo_password_is_not_told_either(stage: Stage, deployed: Deployed) -> None:
    wrong = f"S3ntinelwrong{secrets.token_hex(8)}"
    stage.project.write("sudo-password", wrong)
    try:
        done = stage.fab("deploy", code=1)
    finally:
        stage.project.write("sudo-password", stage.host.ops_password)
    assert "CW207" in done.err
    assert wrong not in done.text
    assert wrong not in journal(stage.host)


# --- each check catches a leak that is planted ---------------------------------------------


def test_the_checks_catch_a_planted_leak(stage: Stage, deployed: Deployed, tmp_path: Path) -> None:
    planted = f"S3ntinelplanted{secrets.token_hex(8)}"
    leaky = replace(stage, sentinels={"planted": planted})
    wide = "umask 022; cat > /tmp/wide; chmod 600 /tmp/wide"
    with traced(stage.host, tmp_path / "host"):
        done, here = strace_fab(stage, tmp_path / "operator", "run", "--command", f"echo {planted}")
        # A file that is narrowed only after it was filled: nobody finds it later.
        argv = stage.host.ssh_command(wide)
        subprocess.run(argv, input=planted, text=True, check=True, timeout=30)
    there = Trace((tmp_path / "host").read_text(errors="replace"))
    assert leaky.found_in(done.text) == {"planted"}
    assert leaky.found_in(here.arguments()) == {"planted"}
    assert leaky.found_in(there.arguments()) == {"planted"}
    assert there.too_open(leaky.sentinels) == ["/tmp/wide: 0666"]
    assert guest_finds(leaky) == []

    stage.host.sh(f"umask 022; echo {planted} > /srv/shop/readable; logger {planted}")
    sleeper = stage.host.ssh_command(f"exec -a {planted} sleep 30", user="root")
    process = subprocess.Popen(sleeper)
    try:
        until = time.monotonic() + 10
        while planted not in "".join(guest_finds(leaky)):
            assert time.monotonic() < until
        assert "file /srv/shop/readable" in guest_finds(leaky)
    finally:
        process.kill()
        process.wait()
        stage.host.sh("rm /srv/shop/readable /tmp/wide")
    assert planted in journal(stage.host)
    (Path(stage.project.env["HOME"]) / "cache" / "note").write_text(planted)
    assert len(kept_by_the_operator(leaky)) == 1


def test_this_checkout_names_no_secret_in_a_file(stage: Stage, deployed: Deployed) -> None:
    """fab wrote nothing into its own sources (bytecode, logs)."""
    for path in (CHECKOUT / "cartwheel").rglob("*.py"):
        assert not stage.found_in(path.read_text())
