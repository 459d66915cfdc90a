"""The part of Cartwheel that stays on a host: this package, `recover`, `enter`, the boot unit."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Dict

from cartwheel.host.layout import LIB, Layout
from cartwheel.host.system import children, files, systemd
from cartwheel.host.system.context import Context

_COMPILE_SECONDS = 60.0
# With a hash of the source, by which a session knows what it need not compile (loader.py).
BY_HASH = ("--invalidation-mode", "unchecked-hash")

_PROGRAMS = {
    "recover": "Put the application in order: at boot, and after a killed session.",
    "timer": "Run the job of a timer if it is due, or keep how one ended.",
    "certificate": "Let the web server use a certificate that has changed.",
    "enter": "Run a command in the serving release's environment, as its user.",
}

# -B: nothing is written when they run; they are compiled when they are installed.
# env -i: what a login or sudo has set is nothing to them.
_SCRIPT = """#!/bin/sh
# {what}
exec env -i TERM="$TERM" {environment} {python} -I -B -c 'import sys; \
sys.path.insert(0, "{lib}/current"); \
from cartwheel.host.{program} import main; sys.exit(main())' {app} {base} "$@"
"""


def digest(sources: Dict[str, str]) -> str:
    text = "\0".join(name + "\0" + sources[name] for name in sorted(sources))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def install(ctx: Context, at: Layout, sources: Dict[str, str], host_files: Dict[str, str]) -> bool:
    """Install this version beside the others and move `current` to it with one rename.

    `host_files`: path -> text of the boot unit and the log rotation.
    """
    version, python = digest(sources), os.path.realpath(sys.executable)
    changed = False
    fresh = files.read_link(at.lib / "current") != version
    for folder in (LIB, at.lib, at.lib / version):
        changed |= files.directory(folder, 0o755)
    changed |= write_modules(at.lib / version, sources)
    if fresh:
        # -f: a power cut may have torn what an earlier attempt compiled.
        top = str(at.lib / version)
        compiler = [python, "-I", "-m", "compileall", "-q", "-f", *BY_HASH, "-s", top, top]
        children.run(ctx, compiler, timeout_seconds=_COMPILE_SECONDS)
        # Before anything leads there: folders and bytecode are not durable yet.
        files.sync_filesystem(at.lib / version)
    for program, what in _PROGRAMS.items():
        changed |= files.write(at.lib / program, _script(at, program, what, python), 0o755)
    changed |= files.link(at.lib / "current", version)
    for path, text in host_files.items():
        if path == str(at.boot_unit):
            changed |= _install_boot_unit(ctx, at, text)
        else:
            changed |= files.write(Path(path), text.encode())
    _remove_others(at, version)
    return changed


def _script(at: Layout, program: str, what: str, python: str) -> bytes:
    environment = " ".join(map("=".join, sorted(children.clean_environment().items())))
    of_app = {"lib": at.lib, "app": at.app, "base": at.base}
    text = _SCRIPT.format(
        what=what, environment=environment, python=python, program=program, **of_app
    )
    return text.encode()


def write_modules(root: Path, sources: Dict[str, str]) -> bool:
    """Write modules (full name -> text) where `root` is in Python's path."""
    changed = False
    for name, text in sources.items():
        is_package = any(other.startswith(name + ".") for other in sources)
        changed |= _write_module(root, name + ".__init__" if is_package else name, text)
    return changed


def _write_module(root: Path, name: str, text: str) -> bool:
    """Write `cartwheel.host.system.files` to cartwheel/host/system/files.py, and so on."""
    path = root.joinpath(*name.split(".")).with_suffix(".py")
    for parent in reversed([p for p in path.parents if root in p.parents]):
        files.directory(parent, 0o755)
        if not (parent / "__init__.py").exists():
            files.write(parent / "__init__.py", b"")
    return files.write(path, text.encode())


def _install_boot_unit(ctx: Context, at: Layout, text: str) -> bool:
    changed = files.write(at.boot_unit, text.encode())
    if changed:
        systemd.reload(ctx)
    wants = at.boot_unit.parent / "multi-user.target.wants" / at.boot_unit.name
    if not wants.is_symlink():
        argv = ["systemctl", "enable", "--quiet", at.boot_unit.name]
        children.check(ctx, argv, "systemd", "enable failed")
        # systemctl does not: without the link nothing starts after a power cut.
        for folder in (wants.parent, at.boot_unit.parent):
            files.fsync_dir(folder)
        changed = True
    return changed


def _remove_others(at: Layout, version: str) -> None:
    for name in files.names(at.lib):
        if name != version and files.is_folder(at.lib / name):
            files.remove_tree(at.lib / name)
