"""No wait is without a deadline (promise P11): held by the sources.

Found are calls that may wait for somebody else for ever. Each that is left has its reason
here; one that is new, or a reason that is not needed any more, fails the test.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for top in ("cartwheel", "lab") for path in (ROOT / top).rglob("*.py"))

# file, function, call -> why it may stay.
_DONE = "is done: it was waited for in slices before, each part with its own deadline"
_SLICES = "`_await` looks at the deadline in slices"
_PARTS = "each part has its own deadline; the pool has ended"
_KILLED = "has ended, or was killed, where its block ends"
_RELAY = "the lab's relay waits until it is told or ended; no deploy waits for it"
ALLOWED = {
    (
        "host/session/server.py",
        "Outbox._write",
        "wait",
    ): "a thread that writes for as long as we live",
    ("host/session/server.py", "Server.serve", "get"): "ends with contact, which the lease watches",
    ("notify/by_apprise.py", "_Handler.emit", "get"): "a context variable",
    ("host/look/logs.py", "logs", "result"): _PARTS,
    ("host/release/verify.py", "verify", "result"): _PARTS,
    ("host/look/facts.py", "probe", "result"): _PARTS,
    ("host/look/report.py", "_status_of", "result"): _PARTS,
    ("host/diagnose/diagnose.py", "diagnose", "result"): "each part of a status has its deadline",
    ("host/diagnose/diagnose.py", "_parts", "result"): "asks only those that are done",
    ("ssh/session.py", "Session._send", "wait"): "a thread; set by the greeting and by any failure",
    ("ssh/session.py", "Session.request", "result"): _SLICES,
    ("fleet/sessions.py", "Fleet.request", "result"): _SLICES,
    ("fleet/sessions.py", "Fleet.each", "result"): _DONE,
    ("fleet/sessions.py", "abandonable", "result"): "asks only those that are done",
    ("commands/again.py", "look_again.look", "result"): _DONE,
    ("commands/scene.py", "reach", "result"): _DONE,
    (
        "commands/deploy.py",
        "_deploy.planning",
        "result",
    ): "`Background.result` waits for tools with deadlines",
    (
        "commands/deploy.py",
        "prepare.look",
        "result",
    ): "`Background.result` waits for tools with deadlines",
    ("commands/plan.py", "plan", "result"): "`Background.result` waits for tools with deadlines",
    ("terminal/show.py", "Output.__exit__", "join"): "the ticker was asked to end",
    ("runs/record.py", "Record._write_lines", "get"): "a thread that writes for as long as we live",
    ("background.py", "Background.result", "result"): "its programs have deadlines",
    ("background.py", "side_by_side", "result"): _DONE,
    ("background.py", "Leave.__init__", "get"): "a context variable",
    ("background.py", "is_abandoned", "get"): "a context variable",
    ("programs.py", "run", "result"): "the program has a deadline",
    ("fleet/sessions.py", "Fleet.__exit__", "wait"): "`Session.close` has a deadline",
    ("cartwheel_lab/forwarder.py", "Line.get", "wait"): _RELAY,
    ("cartwheel_lab/forwarder.py", "Forwarder._forward", "wait"): _RELAY,
    ("cartwheel_lab/forwarder.py", "Forwarder._read", "wait"): _RELAY,
    ("cartwheel_lab/forwarder.py", "Forwarder._write", "wait"): _RELAY,
    ("cartwheel_lab/forwarder.py", "Forwarder._write", "get"): _RELAY,
    ("cartwheel_lab/lab.py", "Lab._in_parallel", "result"): _DONE,
    ("cartwheel_lab/load.py", "side_by_side", "join"): "each request of a visitor has its deadline",
    (
        "cartwheel_lab/faults/harness.py",
        "Harness.__init__",
        "socket",
    ): "listens; it is closed to end that",
    ("cartwheel_lab/faults/tap.py", "main", "socket"): "waits for the harness, which ends it",
    ("cartwheel_lab/base.py", "_run", "Popen"): _KILLED,
}


class _Finder(ast.NodeVisitor):
    """Calls without a deadline, each with the function that it stands in."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str, int]] = []
        self._names: list[str] = []

    def _inside(self, node: ast.AST, name: str) -> None:
        self._names.append(name)
        self.generic_visit(node)
        self._names.pop()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._inside(node, node.name)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if _makes_socket(node) and not _sets_timeout(node):
            self.found.append((".".join([*self._names, node.name]), "socket", node.lineno))
        self._inside(node, node.name)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._inside(node, node.name)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            if ast.unparse(item.context_expr).startswith("subprocess.Popen("):
                self.found.append((".".join(self._names), "Popen", node.lineno))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else _plain(node.func)
        if name and _waits_for_ever(node, name):
            self.found.append((".".join(self._names), name, node.lineno))
        self.generic_visit(node)


def _plain(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


# How many arguments a call has once one of them is its deadline.
_METHODS = {"wait": 1, "join": 1, "result": 1, "get": 1, "acquire": 1, "communicate": 2}
_METHODS |= {"wait_for": 2, "create_connection": 2}
_FUNCTIONS = {"wait": 2, "urlopen": 3, "HTTPConnection": 4, "HTTPSConnection": 4}
_OTHERS: dict[str, Callable[[int, str, str], bool]] = {
    "select": lambda given, owner, _text: given < (4 if owner == "select" else 1),
    "poll": lambda given, owner, _text: owner == "poller" and given == 0,
    "flock": lambda _given, _owner, text: not re.search("LOCK_(NB|UN)", text),
    "lockf": lambda _given, _owner, text: not re.search("LOCK_(NB|UN)", text),
    "waitpid": lambda _given, _owner, text: "WNOHANG" not in text,
    "waitid": lambda _given, _owner, text: "WNOHANG" not in text,
}
_SUBPROCESS = {"run", "call", "check_call", "check_output"}


def _waits_for_ever(call: ast.Call, name: str) -> bool:
    if {word.arg for word in call.keywords} & {"timeout", "timeout_seconds", None}:
        return False  # None: **options
    given, text = len(call.args), ast.unparse(call)
    owner = _plain(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    if owner == "subprocess":
        return name in _SUBPROCESS
    if name in _OTHERS:
        return _OTHERS[name](given, owner, text)
    method = isinstance(call.func, ast.Attribute) and name in _METHODS
    least = _METHODS[name] if method else _FUNCTIONS.get(name, 0)
    return given < least


def _makes_socket(function: ast.FunctionDef) -> bool:
    return any(
        isinstance(node, ast.Call) and ast.unparse(node.func) == "socket.socket"
        for node in ast.walk(function)
    )


def _sets_timeout(function: ast.FunctionDef) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr in {"settimeout", "setblocking", "listen"}
        for node in ast.walk(function)
    )


def waits(source: str) -> list[tuple[str, str, int]]:
    """(function, call, line) of each call that may wait for ever."""
    finder = _Finder()
    finder.visit(ast.parse(source))
    return finder.found


def all_waits() -> Iterator[tuple[str, str, str, int]]:
    for path in SOURCES:
        for function, call, line in waits(path.read_text()):
            top = path.relative_to(ROOT).parts[0]
            yield str(path.relative_to(ROOT / top)), function, call, line


def test_no_wait_is_without_a_deadline() -> None:
    found = [one for one in all_waits() if one[:3] not in ALLOWED]
    assert not found, "\n".join(
        f"{path}:{line}: {call} in {name}" for path, name, call, line in found
    )


def test_no_reason_is_left_over() -> None:
    there = {one[:3] for one in all_waits()}
    assert not set(ALLOWED) - there


@pytest.mark.parametrize(
    "text",
    [
        "subprocess.run(['true'])",
        "subprocess.check_output(['true'], text=True)",
        "process.communicate()",
        "process.wait()",
        "thread.join()",
        "queue.get()",
        "future.result()",
        "lock.acquire()",
        "event.wait()",
        "condition.wait_for(ready)",
        "wait(futures)",
        "poller.poll()",
        "selector.select()",
        "select.select([one], [], [])",
        "urllib.request.urlopen('http://x')",
        "http.client.HTTPConnection('x')",
        "socket.create_connection(('x', 1))",
        "fcntl.flock(fd, fcntl.LOCK_EX)",
        "os.waitpid(pid, 0)",
        "socket.socket(socket.AF_UNIX)",
        "with subprocess.Popen(['true']): pass",
    ],
)
def test_a_wait_without_a_deadline_is_found(text: str) -> None:
    """A test of the test."""
    assert len(waits(f"def one():\n    {text}\n")) == 1


@pytest.mark.parametrize(
    "text",
    [
        "subprocess.run(['true'], timeout=5)",
        "process.wait(5)",
        "thread.join(timeout=1)",
        "', '.join(names)",
        "table.get(name)",
        "wait(futures, timeout=1)",
        "poller.poll(100)",
        "select.select([one], [], [], 1)",
        "socket.create_connection(('x', 1), 5)",
        "fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "socket.socket().settimeout(1)",
        "children.run(ctx, argv, timeout_seconds=5)",
    ],
)
def test_a_wait_with_a_deadline_is_not(text: str) -> None:
    assert waits(f"def one():\n    {text}\n") == []
