"""The importer from memory: it takes what an installed copy compiled from equal sources only."""

from __future__ import annotations

import compileall
import subprocess
import sys
from pathlib import Path
from py_compile import PycInvalidationMode

import pytest

from cartwheel.host.session.loader import MemoryImporter
from cartwheel.ssh.bundle import HELLO, host_bundle

SOURCES = {"cartwheel.host": "", "cartwheel.host.tool": "WHERE = 'from memory'\n"}
MODULE = "cartwheel.host.tool"


def copy_of(folder: Path, text: str, mode: PycInvalidationMode) -> Path:
    """An installed copy whose bytecode says where it is from."""
    module = folder / "cartwheel/host/tool.py"
    module.parent.mkdir(parents=True)
    module.write_text(text)
    assert compileall.compile_dir(folder, quiet=1, invalidation_mode=mode)
    module.write_text("raise SystemExit('the source on the disk is not read')\n")
    return folder


def where(copies: list[Path], source: str = SOURCES[MODULE]) -> object:
    names: dict[str, object] = {}
    exec(MemoryImporter({**SOURCES, MODULE: source}, copies).get_code(MODULE), names)
    return names["WHERE"]


@pytest.fixture
def same(tmp_path: Path) -> Path:
    return copy_of(tmp_path / "same", SOURCES[MODULE], PycInvalidationMode.UNCHECKED_HASH)


def bytecode(copy: Path) -> Path:
    [found] = copy.rglob("tool.*.pyc")
    return found


def test_what_is_compiled_already_is_taken(same: Path) -> None:
    code = MemoryImporter(SOURCES, [same]).get_code(MODULE)
    assert code.co_filename == str(same / "cartwheel/host/tool.py")
    assert where([same]) == "from memory"


def test_another_version_and_a_gap_are_passed_by(same: Path, tmp_path: Path) -> None:
    other = copy_of(tmp_path / "other", "WHERE = 1\n", PycInvalidationMode.UNCHECKED_HASH)
    code = MemoryImporter(SOURCES, [tmp_path / "gone", other, same]).get_code(MODULE)
    assert code.co_filename == str(same / "cartwheel/host/tool.py")


def test_other_sources_are_compiled(same: Path) -> None:
    assert where([same], "WHERE = 'newer'\n") == "newer"


def test_bytecode_of_an_earlier_installation_does_not_count(tmp_path: Path) -> None:
    """It carries a time instead of a hash."""
    old = copy_of(tmp_path / "old", SOURCES[MODULE], PycInvalidationMode.TIMESTAMP)
    assert MemoryImporter(SOURCES, [old]).get_code(MODULE).co_filename == "cartwheel/host/tool.py"


@pytest.mark.parametrize("kept", [0, 7, 16, 20, 40])
def test_damaged_bytecode_is_made_up_for(same: Path, kept: int) -> None:
    file = bytecode(same)
    file.write_bytes(file.read_bytes()[:kept])
    assert MemoryImporter(SOURCES, [same]).get_code(MODULE).co_filename == "cartwheel/host/tool.py"
    assert where([same]) == "from memory"


def test_no_greeting_without_the_standard_library() -> None:
    """As with python3-minimal of Debian: then the missing module is reported as missing Python."""
    less = "import sys; sys.modules['json'] = None; "
    argv = [sys.executable, "-I", "-c", less + host_bundle().loader]
    done = subprocess.run(argv, input=b"", capture_output=True, timeout=60, check=False)
    assert HELLO not in done.stdout
    assert b"ModuleNotFoundError" in done.stderr
