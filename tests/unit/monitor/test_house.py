"""The monitor runs on its host's own Python, with only the records of the wire beside it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.test_architecture import imports, pythons

ROOT = Path(__file__).parents[3]
MONITOR = ROOT / "monitor" / "cartwheel_monitor"
SOURCES = sorted(MONITOR.rglob("*.py"))
# Pure: what they say follows from what they are given.
PURE = {
    *("incidents.py", "judge.py", "limits.py", "observations.py", "pulse.py", "quiet.py"),
    *("recent.py", "records.py", "rows.py", "subjects.py", "unread.py"),
    *(f"rules/{one.name}" for one in (MONITOR / "rules").glob("*.py")),
}
IO = {"os", "pathlib", "socket", "sqlite3", "subprocess", "sys", "threading", "time", "urllib"}
# Installed beside it: the messengers, SSH with its keys, and the page's.
BESIDE = {"apprise", "paramiko", "cryptography", "flask", "flask_wtf", "prometheus_client"}
BESIDE |= {"werkzeug"}
# They import what is installed beside it, and so do not load alone.
NOT_ALONE = {"sessions.py", "key.py", "watcher.py", "piped.py", "__main__.py", "web.py"}
NOT_ALONE |= {str(path.relative_to(MONITOR)) for path in (MONITOR / "page").rglob("*.py")}


def short(path: Path) -> str:
    return str(path.relative_to(MONITOR))


@pytest.mark.parametrize("path", SOURCES, ids=short)
def test_it_imports_only_what_travels_with_it(path: Path) -> None:
    ast.parse(path.read_text(), str(path), feature_version=(3, 9))
    for name in imports(path):
        first = name.partition(".")[0]
        ours = name.startswith(("cartwheel.host.wire", "cartwheel_monitor"))
        assert ours or first in sys.stdlib_module_names | BESIDE, name
        assert not (short(path) in PURE and first in IO), name


def test_what_is_pure_is_there() -> None:
    assert {short(path) for path in SOURCES} >= PURE


def test_all_of_it_imports_on_python_39() -> None:
    names = [
        ".".join(path.relative_to(MONITOR.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in SOURCES
        if short(path) not in NOT_ALONE
    ]
    code = (
        "import sys; sys.dont_write_bytecode = True;"
        f" sys.path[:0] = [{str(ROOT)!r}, {str(MONITOR.parent)!r}]; import {', '.join(names)}"
    )
    for python in pythons()[:1]:
        subprocess.run([python, "-I", "-W", "error", "-c", code], check=True)


def test_what_the_linter_is_told_to_leave_says_why() -> None:
    reasoned = re.compile(r"  # (noqa: [A-Z0-9, ]+ - \S|type: ignore\[[a-z, -]+\]  # \S)")
    lines = [
        f"{short(path)}: {line.strip()}"
        for path in SOURCES
        for line in path.read_text().splitlines()
        if re.search(r"#\s*(noqa|type:\s*ignore)\b", line)
    ]
    assert [line for line in lines if not reasoned.search(line)] == []
