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
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cartwheel_lab import Lab, LabHost
from tests.kit.host import get
from tests.kit.ports import free_port
from tests.kit.project import CHECKOUT, Done, Project, new_project
from tests.kit.secrecy import STRACE, Trace, found_in, guest_finds, journal, kept_in, logged, traced

INDEX_USER = "reader"
OF_THE_INDEX = {"index", "index, encoded"}
_INDEX = Path(__file__).with_name("private_index.py")


class BalancerCalls:
    """A balancer in front of the host that is reached by HTTP, and what it was called with."""

    def __init__(self) -> None:
        calls = self.calls = list[tuple[str, str]]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                calls.append((self.path, self.headers["Authorization"]))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Not to the tests' output."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


@dataclass(frozen=True)
class Stage:
    """A project full of secrets, and the host that it is deployed to as a user with sudo."""

    host: LabHost
    project: Project
    sentinels: Mapping[str, str]
    balancer: BalancerCalls

    def fab(self, *words: str, code: int | None = 0) -> Done:
        return self.project.fab(*words, *self.where, code=code, timeout=280)

    @property
    def where(self) -> tuple[str, str]:
        return "-H", f"ops@{self.host.name}"

    def found_in(self, text: str) -> set[str]:
        return found_in(text, self.sentinels)


@pytest.fixture(scope="module")
def stage(
    module_host: LabHost, lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("secrets")
    home = folder / "home"
    home.mkdir()
    kinds = ("file", "command", "env", "dotenv", "index", "balancer")
    sentinels = {kind: f"S3ntinel{kind}{secrets.token_hex(8)}" for kind in kinds}
    credentials = f"{INDEX_USER}:{sentinels['index']}"
    port, calls = free_port(), BalancerCalls()
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
            [balancer]
            kind = "http"
            url = "{calls.url}/{{name}}/{{action}}"
            headers = {{ Authorization = "Bearer {{secret}}" }}
            secret = {{ file = "balancer-token" }}
            drain_seconds = 1
            [inventory.hosts.{module_host.name}]
        """,
    )
    deploy_toml = project.folder / "config/deploy.toml"
    deploy_toml.write_text('env_file = ".env"\n' + deploy_toml.read_text())
    project.write("secret-file", sentinels["file"] + "\n")
    project.write("secret-command", sentinels["command"])
    project.write("index-password", sentinels["index"])
    project.write("sudo-password", module_host.ops_password)
    project.write("balancer-token", sentinels["balancer"])
    project.write(".env", f"FROM_DOTENV={sentinels['dotenv']}\n")
    sentinels["sudo"] = module_host.ops_password
    sentinels["index, encoded"] = base64.b64encode(credentials.encode()).decode()
    made = Stage(module_host, project, sentinels, calls)
    with ExitStack() as stack:
        stack.callback(calls.close)
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


def strace_fab(
    stage: Stage, into: Path, *words: str, code: int | None = 0, given: str = ""
) -> tuple[Done, Trace]:
    """Run fab under strace; what it said, and every program that it started."""
    under = (*STRACE, "-v", "-o", str(into))
    done = replace(stage.project, under=under).fab(*words, code=code, given=given, timeout=280)
    return done, Trace.of(into)


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
        words = ("--debug", "deploy", *stage.where)
        done, here = strace_fab(stage, folder / "operator", *words)
    return Deployed(done, here, Trace.of(folder / "host"))


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


def test_nothing_that_is_started_here_inherits_one(stage: Stage, deployed: Deployed) -> None:
    """But for the index's password: it is a secret of what asks the index."""
    inherited = deployed.here.inherited()
    assert "UV_CACHE_DIR" in inherited, "it did look"
    assert stage.found_in(inherited) <= OF_THE_INDEX


def test_no_file_was_ever_open_to_others(stage: Stage, deployed: Deployed) -> None:
    given = deployed.there.given(stage.sentinels)
    assert any(re.search(r"/srv/shop/releases/[^/]+/\.?env", path) for path in given), given
    assert deployed.there.too_open(stage.sentinels) == []
    assert deployed.here.too_open(stage.sentinels) == []


def test_another_user_of_the_host_finds_none(stage: Stage, deployed: Deployed) -> None:
    assert guest_finds(stage.host, stage.sentinels) == []
    assert stage.found_in(journal(stage.host)) == set()


def test_the_operators_cache_keeps_none(stage: Stage, deployed: Deployed) -> None:
    assert (Path(stage.project.env["HOME"]) / "cache").is_dir()
    assert kept_in(Path(stage.project.env["HOME"]), stage.sentinels) == []


@pytest.mark.nightly
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
    assert guest_finds(stage.host, stage.sentinels) == []
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


@pytest.mark.nightly
def test_the_checks_catch_a_planted_leak(stage: Stage, deployed: Deployed, tmp_path: Path) -> None:
    planted = f"S3ntinelplanted{secrets.token_hex(8)}"
    leaky = replace(stage, sentinels={"planted": planted})
    wide = "umask 022; cat > /tmp/wide; chmod 600 /tmp/wide"
    with traced(stage.host, tmp_path / "host"):
        words = ("run", "--command", f"echo {planted}", *stage.where)
        done, here = strace_fab(stage, tmp_path / "operator", *words)
        # A file that is narrowed only after it was filled: nobody finds it later.
        argv = stage.host.ssh_command(wide)
        subprocess.run(argv, input=planted, text=True, check=True, timeout=30)
    there = Trace.of(tmp_path / "host")
    assert leaky.found_in(done.text) == {"planted"}
    assert leaky.found_in(here.arguments()) == {"planted"}
    assert leaky.found_in(there.arguments()) == {"planted"}
    assert there.too_open(leaky.sentinels) == ["/tmp/wide: 0666"]
    assert guest_finds(leaky.host, leaky.sentinels) == []

    stage.host.sh(f"umask 022; echo {planted} > /srv/readable; logger {planted}")
    sleeper = stage.host.ssh_command(f"exec -a {planted} sleep 30", user="root")
    process = subprocess.Popen(sleeper)
    try:
        until = time.monotonic() + 10
        while planted not in "".join(guest_finds(leaky.host, leaky.sentinels)):
            assert time.monotonic() < until
        assert "file /srv/readable" in guest_finds(leaky.host, leaky.sentinels)
    finally:
        process.kill()
        process.wait()
        stage.host.sh("rm /srv/readable /tmp/wide")
    assert planted in journal(stage.host)
    (Path(stage.project.env["HOME"]) / "cache" / "note").write_text(planted)
    assert len(kept_in(Path(leaky.project.env["HOME"]), leaky.sentinels)) == 1


def test_this_checkout_names_no_secret_in_a_file(stage: Stage, deployed: Deployed) -> None:
    """fab wrote nothing into its own sources (bytecode, logs)."""
    for path in (CHECKOUT / "cartwheel").rglob("*.py"):
        assert not stage.found_in(path.read_text())


# --- every word ----------------------------------------------------------------------------

# In an order in which each has something to do; with the exit code where that is not 0. Words
# that need no host take none.
_NO_HOST = ("build", "test", "completion", "config", "explain", "runs", "secrets", "templates")
EVERY_WORD: dict[str, tuple[str, ...]] = {
    "setup": (),
    "hosts.trust": (),
    "config.check": (),
    "config.show": (),
    "config.schema": (),
    "inventory": (),
    "completion": ("--shell", "bash"),
    "explain": ("CW602",),
    "secrets.check": (),
    "build": (),
    "test": (),
    "plan": ("--out", "a.plan"),
    "upload": (),
    "venv": (),
    "install": (),
    "configure": (),
    "deploy": ("--message", "every word"),
    "status": ("--finish",),
    "env.list": (),
    "releases": (),
    "history": (),
    "logs": ("--lines", "500"),
    "diagnose": ("--out", "diagnosis.tgz"),
    "run": ("--command", "true"),
    "shell": (),
    "restart": (),
    "rollback": (),
    "nginx.test": (),
    "notify.test": (),
    "watch": ("--times", "1"),
    "dashboard": ("--port", "65536"),  # it would not end by itself
    "monitor.install": (),
    "monitor.status": (),
    "monitor.test": (),
    "monitor.silence": ("--for", "1h", "--message", "a pause"),
    "incidents": (),
    "monitor.user.add": ("somebody",),
    "monitor.user.remove": ("somebody",),
    "monitor.uninstall": ("--yes",),
    "nginx.reload": (),
    "apache.test": (),
    "apache.reload": (),
    "maintenance.on": ("--message", "a pause"),
    "maintenance.off": (),
    "lock.hold": ("--message", "a pause"),
    "lock.status": (),
    "lock.release": (),
    "stop": (),
    "start": (),
    "prune": (),
    "packages": (),
    "doctor": ("--fix",),
    "balancer.setup": (),
    "balancer.status": (),
    "balancer.out": (),
    "balancer.back": (),
    "templates.list": (),
    "templates.eject": ("web.service.j2",),
    "templates.diff": ("web.service.j2",),
    "templates.keep": ("web.service.j2",),
    "ps": (),
    "process.stop": ("--name", "worker"),
    "process.start": ("--name", "worker"),
    "process.restart": ("--name", "worker"),
    "timer.list": (),
    "timer.run": ("--name", "job"),
    "timer.pause": ("--name", "job"),
    "timer.resume": ("--name", "job"),
    "tls.status": (),
    "tls.renew": (),
    "runs.list": (),
    "runs.show": ("last",),
    "uninstall": ("--yes",),
    "config.init": ("--server-name", "other.example"),  # there is a second app then
}
# No terminal; the only host must stay in the balancer; there are no such processes and timers:
# these say so.
_CODES = dict.fromkeys(("shell", "balancer.out"), 2)
_CODES |= {f"process.{word}": 2 for word in ("stop", "start", "restart")}
_CODES["tls.renew"] = 2  # there is no tls.acme
_CODES["dashboard"] = 2  # there is no such port
_CODES |= dict.fromkeys(("apache.test", "apache.reload"), 1)  # there is no Apache
_CODES |= {f"timer.{word}": 2 for word in ("run", "pause", "resume")}


def test_every_word_is_among_them(stage: Stage) -> None:
    """But those of the lab, which know no settings. (`lab.fault`: test_secrets_faults.py.)"""
    listed = stage.project.fab("--list").out.splitlines()
    words = {line.split()[0] for line in listed if line.startswith("  ") and line.strip()}
    assert {word for word in words if not word.startswith("lab.")} == set(EVERY_WORD)


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_through_every_word(stage: Stage, deployed: Deployed, tmp_path: Path) -> None:
    """Last here: the app is gone then."""
    stage.project.app("another")
    shown: dict[str, set[str]] = {}
    wrong: list[str] = []
    with traced(stage.host, tmp_path / "host"):
        for word, options in EVERY_WORD.items():
            where = () if word.partition(".")[0] in _NO_HOST else stage.where
            done, here = strace_fab(
                stage,
                tmp_path / word,
                *(word, *options, *where),
                code=None,
                given="exit\n",
            )
            if done.code != _CODES.get(word, 0):
                wrong.append(f"{word}: {done.code}, {done.text[-600:]}")
            shown[word] = stage.found_in(done.text + here.arguments())
            shown[word] |= stage.found_in(here.inherited()) - OF_THE_INDEX
            shown[word] |= set(here.too_open(stage.sentinels))
    assert wrong == []
    token = f"Bearer {stage.sentinels['balancer']}"
    assert (f"/{stage.host.name}/back", token) in stage.balancer.calls, "it was used"
    assert {word: found for word, found in shown.items() if found} == {}
    there = Trace.of(tmp_path / "host")
    assert stage.found_in(there.arguments()) == set()
    assert there.too_open(stage.sentinels) == []
    assert guest_finds(stage.host, stage.sentinels) == []
    assert stage.found_in(journal(stage.host)) == set()
    assert logged(stage.host, stage.sentinels) == []
    assert kept_in(Path(stage.project.env["HOME"]), stage.sentinels) == []
