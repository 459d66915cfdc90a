"""The shim around fab: stock `fab` and `inv` as subprocesses on a small fabfile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fabric.main import Fab

from cartwheel import __version__
from cartwheel.errors import CartwheelError, ConnectError, UsageError
from cartwheel.fab import FabContext, FleetTask, task
from cartwheel.fab.context import hosts_of
from cartwheel.fab.task import CORE_OPTIONS
from cartwheel.telling import exit_code, tell
from tests.kit.project import CHECKOUT, FAB, Done, Project, new_project

INV = Path(sys.executable).with_name("inv")
Fabricate = Callable[..., Done]

FABFILE = """
from fabric.main import program
from cartwheel.fab.program import bind
from words import namespace
bind(program)
"""
WORDS = """
from cartwheel.fab import assemble
namespace = assemble(__name__, flat=("one",), nested=("lab",))
"""
ONE = '''
from __future__ import annotations
import json, time, os
from pathlib import Path
from cartwheel.errors import ConnectError
from cartwheel.fab import FabContext, task

@task(help={"env": "Which environment.", "lines": "How many.", "word": "A word."})
def deploy(c: FabContext, env: str = "", lines: int = 3, *, word: tuple[str, ...] = ()) -> None:
    """Deploy it."""
    print(json.dumps({"task": c.task, "hosts": c.hosts, "project": str(c.project), "env": env,
        "lines": lines, "options": repr(c.ssh_options),
        "timeout": c.ssh_options.connect_timeout_seconds,
        "identities": [str(p) for p in c.ssh_options.identities]}))

@task()
def need(c: FabContext) -> None:
    """Need hosts."""
    print(json.dumps(c.require_hosts(())))

@task(hosts="none")
def build(c: FabContext) -> None:
    """Build it."""
    print(json.dumps({"hosts": c.hosts, "run": hasattr(c, "run")}))

@task(help={"how": "How to fail."})
def fail(c: FabContext, how: str = "") -> int:
    """Fail."""
    if how == "error":
        raise ConnectError("ssh-lost", "it broke", host="h", detail="line 1\\nline 2")
    if how == "crash":
        raise ZeroDivisionError("by\\nzero")
    if how == "group":
        raise ExceptionGroup("x", [ConnectError("ssh-lost", "a", host="h1"),
            ConnectError("ssh-auth", "b", host="h2")])
    if how == "interrupt":
        Path("started").write_text(str(os.getpid()))
        time.sleep(30)
    return 42
'''
LAB = '''
from cartwheel.fab import FabContext, task
from .one import build  # borrowed: stays its sibling's

@task(hosts="none")
def up(c: FabContext) -> None:
    """Start hosts."""
    print("up")
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "fabfile.py").write_text(FABFILE)
    (tmp_path / "words").mkdir()
    for name, text in (("__init__", WORDS), ("one", ONE), ("lab", LAB)):
        (tmp_path / "words" / f"{name}.py").write_text(text)
    (tmp_path / "below").mkdir()
    return tmp_path


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(CHECKOUT)}


@pytest.fixture
def fab(project: Path) -> Fabricate:
    def run(*words: str, cwd: Path = project, given: str = "") -> Done:
        return Project(cwd, {"PYTHONPATH": str(CHECKOUT)}).fab(*words, code=None, given=given)

    return run


class TestOneCallForTheFleet:
    def test_all_hosts_once_stripped_and_in_order(self, fab: Fabricate) -> None:
        done = fab("-H", "a, b,a,, c@d:22 ", "deploy", "--env", "staging", "--lines=7")
        (line,) = done.out.splitlines()
        got = json.loads(line)
        assert got["hosts"] == ["a", "b", "c@d:22"]
        assert (got["task"], got["env"], got["lines"]) == ("deploy", "staging", 7)
        assert done.code == 0

    def test_flags_of_fab_arrive_typed(self, fab: Fabricate, project: Path) -> None:
        done = fab(
            "-H", "a", "-i", "k1", "-i", "k2", "deploy", "-t", "3", "-S", "nowhere",
            cwd=project / "below",
        )  # fmt: skip
        got = json.loads(done.out)
        assert (got["identities"], got["timeout"]) == (["k1", "k2"], 3)
        assert "nowhere" in got["options"]  # read only when connecting
        assert got["project"] == str(project)

    def test_several_tasks_and_nested_ones_on_one_line(self, fab: Fabricate) -> None:
        done = fab("-H", "a,b", "build", "lab.up", "deploy")
        first, second, third = done.out.splitlines()
        assert json.loads(first) == {"hosts": [], "run": False}
        assert second == "up"
        assert json.loads(third)["hosts"] == ["a", "b"]

    def test_a_failing_task_stops_the_line(self, fab: Fabricate) -> None:
        done = fab("-H", "a", "fail", "build")
        assert (done.code, done.out) == (42, "")


class TestListAndHelp:
    def test_a_bare_fab_shows_the_list(self, fab: Fabricate) -> None:
        bare, listed = fab(), fab("--list")
        assert bare.code == listed.code == 0
        assert bare.out == listed.out
        for line in ("deploy", "lab.up   Start hosts.", "fail"):
            assert line in listed.out
        assert "lab.build" not in listed.out

    def test_help_of_a_task(self, fab: Fabricate) -> None:
        done = fab("--help", "deploy")
        assert "--env=STRING" in done.out
        assert "Which environment." in done.out
        assert "  -e" not in done.out


class TestFailures:
    @pytest.mark.parametrize(
        ("words", "line", "number"),
        [
            (["deply"], "There is no task 'deply'", "CW101"),
            (["deploy", "--nonsense"], "`deploy` has no option --nonsense", "CW101"),
            (["--help", "nothing"], "There is no task 'nothing'", "CW101"),
            (["deploy", "--lines", "many"], "'many' is not a number", "CW101"),
            (["need"], "`need` needs a host", "CW102"),
            (["-H", "", "need"], "it names no host", "CW102"),
            (["-H", " , ", "need"], "it names no host", "CW102"),
            (["--dry", "-H", "a", "deploy"], "--dry would run this task for real", "CW106"),
            (["-R", "-H", "a", "deploy"], "--dry would run this task for real", "CW106"),
            (["--list", "-F", "xml"], "--list-format takes one of flat, nested, json", "CW101"),
            (
                ["deploy", "-H", "a", "-t", "0"],
                "--connect-timeout takes seconds, at least",
                "CW101",
            ),
            (["deploy", "-f", "-n5"], "Config files of type '' (from file '-n5')", "CW101"),
            (["-H", "a", "deploy", "--", "ls"], "cannot follow a task", "CW101"),
        ],
    )
    def test_usage_is_2_with_one_line_and_what_to_do(
        self, fab: Fabricate, words: list[str], line: str, number: str
    ) -> None:
        done = fab(*words)
        assert done.code == 2
        first, second = done.err.splitlines()
        assert line in first
        assert first.endswith(f"[{number}]")
        assert second.startswith("  ")
        assert done.out == ""

    def test_an_error_of_ours(self, fab: Fabricate) -> None:
        done = fab("-H", "a", "fail", "--how=error")
        line, *detail, hint = done.err.splitlines()
        assert line == "error: h: it broke [CW205]"
        assert detail == ["  | line 1", "  | line 2"]
        assert hint.strip().startswith("next:   `fab status")
        assert done.code == 1

    def test_errors_of_several_hosts(self, fab: Fabricate) -> None:
        done = fab("-H", "a", "fail", "--how=group")
        assert "h1: a [CW205]" in done.err
        assert "h2: b [CW204]" in done.err
        assert "Traceback" not in done.err

    def test_something_unexpected(self, fab: Fabricate) -> None:
        done = fab("-H", "a", "fail", "--how=crash")
        assert done.err.splitlines() == [
            "error: Unexpected ZeroDivisionError: by zero",
            "  next:   run it again with --debug for the traceback, and report it",
        ]
        assert done.code == 1
        debug = fab("--debug", "-H", "a", "fail", "--how=crash")
        assert 'raise ZeroDivisionError("by\\nzero")' in debug.err
        assert debug.code == 1

    def test_ctrl_c_is_130(self, project: Path) -> None:
        process = subprocess.Popen(
            [FAB, "-H", "a", "fail", "--how=interrupt"],
            cwd=project,
            env=environment(),
            stderr=subprocess.PIPE,
        )
        try:
            deadline = time.monotonic() + 20
            while not (project / "started").exists():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            _out, errors = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 130
        assert errors.decode() == "Interrupted\n"

    def test_inv_is_refused(self, project: Path) -> None:
        done = subprocess.run(
            [str(INV), "-c", "words", "deploy"],
            cwd=project,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        assert "is a task for `fab` [CW107]" in done.stderr


def test_the_exit_code_of_several_failures_is_the_gravest() -> None:
    usage, lost = UsageError("usage", "u"), ConnectError("ssh-lost", "l")
    assert exit_code(usage) == 2
    assert exit_code(ExceptionGroup("x", [usage, lost])) == 1
    assert exit_code(ExceptionGroup("x", [lost, CartwheelError("locked", "k")])) == 5
    assert exit_code(ValueError()) == 1
    assert tell(ExceptionGroup("x", [usage, lost])).count("\n") == 3


def test_core_options_are_fabs_own() -> None:
    program: Any = Fab(name="x")
    names = {name for each in program.core_args() + program.task_args() for name in each.names}
    assert {name for name in names if len(name) > 1} == CORE_OPTIONS


class TestTheDecorator:
    def test_options_named_like_fabs_are_refused(self) -> None:
        for name in sorted(CORE_OPTIONS):
            code = f"def body(c, {name.replace('-', '_')}=''):\n  'Doc.'\n"
            scope: dict[str, Callable[..., None]] = {}
            exec(code, scope)
            with pytest.raises(TypeError, match="fab itself has the options"):
                task(help={name: "x"})(scope["body"])

    def test_every_option_needs_help_and_every_task_a_line(self) -> None:
        def silent(c: FabContext, option: str = "") -> None:
            """Doc."""

        def plain(c: FabContext) -> None:
            pass

        for body, help in ((silent, {}), (silent, {"opion": "x"}), (plain, {})):
            with pytest.raises(TypeError):
                task(help=help)(body)
        assert isinstance(task(help={"option": "x"})(silent), FleetTask)


def test_hosts_of_a_flag() -> None:
    assert hosts_of(None) == ()
    assert hosts_of(" a ,b") == ("a", "b")
    with pytest.raises(UsageError):
        hosts_of("")


def test_a_reader_that_has_enough_is_no_failure() -> None:
    """`fab --list | head -1`."""
    listing = subprocess.Popen(
        [FAB, "--list"], cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert listing.stdout is not None
    listing.stdout.close()
    _out, err = listing.communicate(timeout=30)
    assert (listing.returncode, err) == (0, b"")


def test_a_start_searches_for_no_garbage_and_neither_does_the_end() -> None:
    """What others have Python do at its end is done all the same."""
    code = (
        "import atexit, gc, sys; from fabric.main import program\n"
        "searched = []\n"
        "atexit.register(lambda: print(searched, gc.get_freeze_count() > 0, file=sys.stderr))\n"
        "gc.callbacks.append(lambda *how: 'tasks' in sys.modules and searched.append(how))\n"
        "sys.argv = ['fab', '--list']; program.run()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stderr == "[] True\n"


def loaded_by(project: Path, *words: str) -> set[str]:
    """The modules that `fab WORDS` loads beyond fabric's own, asyncio aside: invoke loads it, for
    its tests."""
    code = (
        "import sys; from fabric.main import program\n"
        "own = set(sys.modules)\n"
        "for name in [each for each in own if each.split('.')[0] == 'asyncio']:\n"
        "    own.remove(name); del sys.modules[name]\n"
        "try: program.run()\nexcept SystemExit: pass\n"
        "print(*sorted(set(sys.modules) - own), file=open('loaded', 'w'))"
    )
    subprocess.run(
        [sys.executable, "-c", code, *words], cwd=project, capture_output=True, check=True
    )
    loaded = (project / "loaded").read_text().split()
    return set(loaded) | {name.split(".")[0] for name in loaded}


# How long a start takes is measured by bench/start; what would make it slow is held here.
HEAVY = {
    "asyncio",
    "cartwheel.build",
    "cartwheel_lab.lab",
    "ctypes",
    "jinja2",
    "urllib.request",
    "uv",
}


def test_listing_loads_nothing_heavy(tmp_path: Path) -> None:
    loaded = loaded_by(new_project(tmp_path).folder, "--list")
    assert "tasks.deploy" in loaded
    assert sorted(loaded & {*HEAVY, "cartwheel.commands", "pydantic"}) == []


def test_connecting_loads_nothing_heavy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    project = new_project(tmp_path, settings="[ssh]\nconnect_attempts = 1\n")
    loaded = loaded_by(project.folder, "status", "-H", f"127.0.0.1:{closed}")
    assert {"cartwheel.ssh.session", "cartwheel.plan.condition"} <= loaded
    assert sorted(loaded & HEAVY) == []


def test_starting_keeps_bytecode(tmp_path: Path) -> None:
    """fab itself forbids writing it, so that every start would compile this project anew."""
    for name in ("fabfile.py", "tasks", "cartwheel", "lab"):
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path)
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([FAB, "--list"], cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, check=True)
    assert list((tmp_path / "cartwheel/fab/__pycache__").glob("program.*.pyc"))


def test_the_version_of_cartwheel_is_its_own(tmp_path: Path) -> None:
    done = Project(tmp_path).cartwheel("--version")
    assert done.out.splitlines()[0] == f"Cartwheel {__version__}"
    assert "Fabric" in done.out
