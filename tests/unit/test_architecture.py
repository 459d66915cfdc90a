"""The boundaries of the house (docs/architecture.md), held by its sources."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from cartwheel.errors import CATALOGUE
from cartwheel.host.wire.request import Request, answer_type
from cartwheel.ssh.bundle import host_modules

ROOT = Path(__file__).parents[2]
HOST = sorted((ROOT / "cartwheel" / "host").rglob("*.py"))
ENGINE = sorted((ROOT / "cartwheel").rglob("*.py"))
LAB = sorted((ROOT / "lab").rglob("*.py"))
TASKS = sorted((ROOT / "tasks").rglob("*.py"))
LAB_TASKS = ROOT / "lab" / "cartwheel_lab" / "tasks.py"

# They talk to the session's unit, to a person's terminal or to a test by standard output.
# `fab --complete` answers the shell.
MAY_PRINT = {
    "host/watch/look.py",
    "host/recover.py",
    "host/enter.py",
    "host/timer.py",
    "host/certificate.py",
    "cartwheel_lab/load.py",
    "fab/program.py",
}
# They are programs of their own: installed on a host, or started by the lab.
MAY_READ_ARGV = {
    *("host/recover.py", "host/enter.py", "host/timer.py", "host/release/witness.py"),
    "host/certificate.py",
    *("cartwheel_lab/load.py", "cartwheel_lab/faults/tap.py"),
}
IO_MODULES = {
    *("asyncio", "fcntl", "glob", "http", "os", "platform", "pwd", "random", "secrets", "shutil"),
    *("signal", "socket", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib"),
    *("fabric", "invoke", "paramiko", "datetime", "uuid"),
}
ENDED_MODULES = {"distutils", "imp", "asyncore", "asynchat", "smtpd", "cgi", "pipes", "telnetlib"}
_SLUG = re.compile(r"[a-z]+(-[a-z]+)*")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def short(path: Path) -> str:
    """Below cartwheel/, or below lab/."""
    return str(path.relative_to(ROOT / path.relative_to(ROOT).parts[0]))


def imports(path: Path, *, late: bool = True) -> Iterator[str]:
    """Modules that a file imports, by full name; `from . import x` as `.x`. Without `late`
    only those that come with the file itself."""
    for node in ast.walk(tree(path)) if late else tree(path).body:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            if node.module:
                yield base
            else:
                yield from (base + name.name for name in node.names)


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))


@pytest.mark.parametrize("path", HOST, ids=short)
def test_the_host_side_is_python_39_and_the_standard_library(path: Path) -> None:
    ast.parse(path.read_text(), str(path), feature_version=(3, 9))
    for name in imports(path):
        first = name.partition(".")[0]
        if name.startswith(".") or first == "cartwheel":
            inside = name.startswith("cartwheel.host") or re.match(r"\.\w", name)
            assert inside, f"{name} is outside cartwheel/host"
        else:
            assert first in sys.stdlib_module_names, f"{name} is not of the standard library"
            assert first not in ENDED_MODULES, f"{name} is gone from later Pythons"


def test_no_annotation_is_needed_at_run_time() -> None:
    """`X | None` and the like are no expressions in 3.9: annotations must stay text."""
    for path in HOST:
        assert (
            "from __future__ import annotations" in path.read_text() or path.name == "__init__.py"
        )


def pythons() -> list[str]:
    """Interpreters of 3.9 on this machine."""
    found = [shutil.which("python3.9")]
    homes = [os.environ.get("PYENV_ROOT"), str(Path.home() / ".pyenv")]
    for home in filter(None, homes):
        found += [str(path) for path in Path(home).glob("versions/3.9*/bin/python3.9")]
    return [path for path in found if path and _is_39(path)]


def _is_39(path: str) -> bool:
    done = subprocess.run(
        [path, "-I", "-c", "import sys; print(sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() == "(3, 9)"


def test_the_host_side_is_written_for_python_39() -> None:
    """Its syntax; where there is a 3.9, its imports too. Debian 11's own imports all of it on a
    host (tests/lab/test_life.py)."""
    sources = host_modules()
    for name, source in sources.items():
        ast.parse(source, name, feature_version=(3, 9))
    code = (
        "import sys; sys.dont_write_bytecode = True;"
        f" sys.path.insert(0, {str(ROOT)!r}); import {', '.join(sorted(sources))}"
    )
    for python in pythons()[:1]:
        subprocess.run([python, "-I", "-W", "error", "-c", code], check=True)


@pytest.mark.parametrize("path", [*TASKS, LAB_TASKS], ids=lambda path: path.name)
def test_tasks_open_no_channel(path: Path) -> None:
    for name in imports(path):
        first = name.partition(".")[0]
        assert first not in {"paramiko", "fabric", "invoke", "socket", "subprocess"}, name
        ours = {"cartwheel", "cartwheel_lab", "tasks"}
        assert first in sys.stdlib_module_names | ours or name.startswith("."), name
    for call in calls(path):
        if isinstance(call.func, ast.Attribute):
            assert call.func.attr not in {"open_session", "request", "submit", "exec_command"}


@pytest.mark.parametrize("path", [*ENGINE, *LAB], ids=short)
def test_the_engine_prints_nothing_and_reads_no_arguments(path: Path) -> None:
    text = path.read_text()
    if short(path) not in MAY_PRINT:
        printed = [
            call.lineno
            for call in calls(path)
            if isinstance(call.func, ast.Name) and call.func.id == "print"
        ]
        assert not printed, f"prints in line {printed}"
        assert "sys.stdout.write" not in text
    if short(path) not in MAY_READ_ARGV:
        assert "sys.argv" not in _code_of(path)


def _code_of(path: Path) -> str:
    """The source without its strings: programs for other processes are texts."""
    return " ".join(
        f"{ast.unparse(node.value)}.{node.attr}"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
    )


def test_fab_context_is_the_only_place_that_knows_fabric() -> None:
    allowed = {"fab", "ssh"}
    for path in ENGINE:
        if short(path).partition("/")[0] not in allowed:
            names = {name.partition(".")[0] for name in imports(path)}
            assert not names & {"fabric", "invoke"}, short(path)


@pytest.mark.parametrize("path", sorted((ROOT / "cartwheel" / "plan").rglob("*.py")), ids=short)
def test_plans_do_no_io(path: Path) -> None:
    for name in imports(path):
        assert name.partition(".")[0] not in IO_MODULES, name
        room = name.split(".")[1] if name.startswith("cartwheel.") else "plan"
        assert (
            room in {"plan", "settings", "build", "hidden", "decoded"} or ".host.wire." in name
        ), name
    for call in calls(path):
        assert not (isinstance(call.func, ast.Name) and call.func.id == "open")
        if isinstance(call.func, ast.Attribute):
            methods = {"read_text", "read_bytes", "write_text", "write_bytes", "exists", "stat"}
            assert call.func.attr not in methods


def test_only_who_makes_and_who_sends_a_step_opens_it() -> None:
    """All others read what a plan does from its fields."""
    openers = {
        f"{path.parent.name}/{path.name}"
        for path in (*ENGINE, *TASKS)
        if not {"host", "ssh"} & set(path.relative_to(ROOT).parts)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr in {"op", "blob"}
    }
    assert openers == {"fleet/sessions.py"}


@pytest.mark.parametrize("path", [*ENGINE, *TASKS], ids=lambda path: path.name)
def test_the_engine_knows_no_lab(path: Path) -> None:
    """It reads the file that a lab keeps for it. The one module of its tasks is for those who
    have both."""
    if path != ROOT / "tasks" / "lab.py":
        assert "cartwheel_lab" not in path.read_text()


# Every room, from the ground up: each looks only at those above it in this list (it stands on
# them). A room is a folder of the engine, a folder or a program of the host side, or a module of
# its own.
ROOMS = (
    *("host", "host.schedule", "host.wire", "host.layout", "host.system", "host.state"),
    *("host.packages", "host.process", "host.web", "host.release", "host.switch", "host.balancer"),
    *(
        "host.enter",
        "host.recover",
        "host.timer",
        "host.certificate",
        "host.watch",
        "host.look",
        "host.diagnose",
        "host.upkeep",
        "host.session",
    ),
    *("places", "decoded", "errors", "events", "hidden", "background", "process_env", "programs"),
    *(
        "writing",
        "telling",
        "settings",
        "build",
        "plan",
        "diagnosis",
        "render",
        "ssh",
        "inventory",
        "fab",
    ),
    *("fleet", "notify", "balance", "runs", "project", "commands", "terminal"),
)


def room_of(module: str) -> str:
    """`cartwheel.host.release.verify` -> host.release; "" where it is of no room."""
    words = module.split(".")[1:]
    return ".".join(words[:2] if words[:1] == ["host"] else words[:1])


def modules_in(path: Path) -> Iterator[str]:
    """Modules of the engine that a file imports, in whichever way: also late, also for types."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inside = node.module in {"cartwheel", "cartwheel.host"}
            found = (
                [f"{node.module}.{name.name}" for name in node.names] if inside else [node.module]
            )
        else:
            found = []
        yield from (name for name in found if name.startswith("cartwheel."))


@pytest.mark.parametrize("path", ENGINE, ids=short)
def test_rooms_look_only_down(path: Path) -> None:
    room = room_of("cartwheel." + short(path).removesuffix(".py").replace("/", "."))
    if short(path) in {"__init__.py", "host/__init__.py"}:
        return
    assert room in ROOMS, "a new room: where does it stand?"
    for name in modules_in(path):
        other = room_of(name)
        # Where it is installed, the tasks are inside it.
        if name in {"cartwheel.tasks", "cartwheel.__version__"}:
            continue
        assert other in ROOMS, name
        assert ROOMS.index(other) <= ROOMS.index(room), f"{name} is above {room}"


def test_no_room_is_listed_that_is_not_there() -> None:
    there = {
        room_of("cartwheel." + short(path).removesuffix(".py").replace("/", ".")) for path in ENGINE
    }
    assert set(ROOMS) - {"host"} <= there


# Who may name Apache, and why; all others ask `names.web_server` or `chosen.web_server`.
APACHE = {
    "cartwheel/host/web/apache.py": "the kind",
    "cartwheel/host/web/apache_config.py": "the kind: its configuration",
    "cartwheel/host/web/apache_extra.py": "the kind: lines of the user's own",
    "cartwheel/host/web/apache_log.py": "the kind: its logs",
    "cartwheel/host/web/apache_reload.py": "the kind: what a reload needs",
    "cartwheel/host/web/apache_shared.py": "the kind: the file that all sites share",
    "cartwheel/host/web/apache_words.py": "the kind: what it says",
    "cartwheel/host/web/kinds.py": "lists the kinds",
    "cartwheel/host/watch/sites.py": "the little that a quick program needs of them",
    "cartwheel/settings/checks.py": "a name that users must not take",
    "cartwheel/settings/toml_tables.py": "what users type and read",
    "cartwheel/errors.py": "slugs, and what users read",
    "tasks/apache.py": "the tasks `apache.test` and `apache.reload`",
    "tasks/__init__.py": "lists the tasks",
}
# The same for nginx.
NGINX = {
    "cartwheel/host/web/nginx.py": "the kind",
    "cartwheel/host/web/nginx_config.py": "the kind: its configuration",
    "cartwheel/host/web/nginx_extra.py": "the kind: lines of the user's own",
    "cartwheel/host/web/nginx_log.py": "the kind: its logs",
    "cartwheel/host/web/nginx_shared.py": "the kind: the file that all sites share",
    "cartwheel/host/web/kinds.py": "lists the kinds",
    "cartwheel/host/watch/sites.py": "the little that a quick program needs of them",
    "cartwheel/host/balancer/nginx_links.py": "the balancer of that kind",
    "cartwheel/host/balancer/nginx_site.py": "the balancer of that kind",
    "cartwheel/host/balancer/taken_out.py": "lists the kinds of balancers on hosts",
    "cartwheel/host/session/operations.py": "where that balancer's operation is",
    "cartwheel/host/upkeep/uninstall.py": "takes that balancer away",
    "cartwheel/plan/balancing.py": "lists the kinds of balancers, and has that one's files",
    "cartwheel/render/balancer.py": "the balancer's site, which is that kind's",
    "cartwheel/commands/balancing.py": "lists the kinds of balancers",
    "cartwheel/balance/hosted.py": "says what to do next with either kind of balancer",
    "cartwheel/fleet/balancer.py": "says what to do next with either kind of balancer",
    "cartwheel/settings/names.py": "where that balancer's site is",
    "cartwheel/settings/checks.py": "a value of `balancer.kind`; a name that users must not take",
    "cartwheel/settings/toml_tables.py": "what users type and read",
    "cartwheel/errors.py": "slugs, and what users read",
    "tasks/nginx.py": "the tasks `nginx.test` and `nginx.reload`",
    "tasks/__init__.py": "lists the tasks",
    "tasks/balancer.py": "what users read about that balancer",
}


@pytest.mark.parametrize(("name", "where"), [("nginx", NGINX), ("apache", APACHE)])
def test_a_web_server_is_named_by_its_kind_only(name: str, where: dict[str, str]) -> None:
    files = (*ENGINE, *TASKS)
    found = {str(one.relative_to(ROOT)) for one in files if name in one.read_text().lower()}
    assert found == set(where)


def _slugs_in(path: Path) -> set[str]:
    """Slugs where they are used: first argument of an error or refusal, compared with `.slug`,
    or in a table of slugs."""
    names = {"OpError", "CartwheelError", "UsageError", "ConnectError", "BuildError", "HostError"}
    names |= {"LabError", "Refusal"}
    found: set[str] = set()
    for call in calls(path):
        name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        if name in names and call.args:
            found |= set(_texts(call.args[0]))
    return found


def _texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)


def test_every_slug_that_is_raised_is_in_the_catalogue() -> None:
    for path in (*ENGINE, *LAB, *TASKS):
        unknown = _slugs_in(path) - set(CATALOGUE)
        assert not unknown, f"{path.name}: {sorted(unknown)}"


def test_every_row_of_the_catalogue_is_used() -> None:
    texts = {
        node.value
        for path in (*ENGINE, *LAB, *TASKS)
        if path.name != "errors.py"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert not [slug for slug in CATALOGUE if slug not in texts]


def test_numbers_are_unique_and_slugs_are_plain() -> None:
    numbers = [problem.number for problem in CATALOGUE.values()]
    assert len(numbers) == len(set(numbers))
    assert all(100 < number < 1000 for number in numbers)
    assert all(_SLUG.fullmatch(slug) for slug in CATALOGUE)


def requests() -> dict[str, type]:
    """Every request that travels to a host, by the name of its operation."""
    wire = ROOT / "cartwheel" / "host" / "wire"
    for path in wire.rglob("*.py"):
        importlib.import_module(f"cartwheel.host.wire.{path.stem}")
    ours = [kind for kind in Request.__subclasses__() if kind.__module__.startswith("cartwheel.")]
    return {kind.op: kind for kind in ours}


def test_a_host_operation_has_one_register() -> None:
    operations = importlib.import_module("cartwheel.host.session.operations")
    known = {**operations.READING, **operations.OF_HOST, **operations.CHANGING}
    assert set(requests()) == {*known, "hello"}


@pytest.mark.parametrize("name", sorted(requests()))
def test_an_operation_takes_its_own_request_and_gives_its_answer(name: str) -> None:
    operations = importlib.import_module("cartwheel.host.session.operations")
    server = importlib.import_module("cartwheel.host.session.server")
    known = {**operations.READING, **operations.OF_HOST, **operations.CHANGING}
    place = known.get(name)
    function = operations._operation(place) if place else getattr(server, name)
    hints = typing.get_type_hints(function)
    kind = requests()[name]
    assert hints[function.__code__.co_varnames[1]] is kind
    assert hints["return"] == answer_type(kind)


def test_what_the_linter_is_told_to_leave_says_why() -> None:
    """`noqa` and `type: ignore` name their rule, and a reason."""
    tops = ("bench", "cartwheel", "lab", "tasks", "tests")
    lines = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for top in tops
        for path in (ROOT / top).rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"#\s*(noqa|type:\s*ignore)\b", line)
    ]
    reasoned = re.compile(r"  # (noqa: [A-Z0-9, ]+ - \S|type: ignore\[[a-z, -]+\]  # \S)")
    assert lines
    assert [line for line in lines if not reasoned.search(line)] == []
