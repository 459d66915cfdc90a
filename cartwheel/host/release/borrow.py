"""Reuse the installed packages of an earlier release with the same lock.

A code-only change then needs neither the index nor the time to install everything again. Files are
hard links: a complete release belongs to root and never changes. From a release that is not closed
to others (see `access`) they are copies: all links of a file share one mode.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path
from typing import Callable, Dict, List, Optional, Set, Tuple

from cartwheel.host.layout import Layout
from cartwheel.host.state import releases, whole
from cartwheel.host.system import files
from cartwheel.host.wire.making import Install
from cartwheel.host.wire.manifest import Manifest

_NO_LINK = (errno.EXDEV, errno.EMLINK, errno.EPERM)


def from_earlier(at: Layout, wanted: Install, owner: Tuple[int, int]) -> Optional[str]:
    """Fill the release's empty virtual environment from the newest complete release with the same
    lock and interpreter and no missing files, without its application and the wheels sent with
    that. Returns that release's name, or None."""
    for manifest in reversed(releases.complete(at)):
        donor = at.release(manifest.release) / "venv"
        if not _fits(manifest, wanted) or whole.problem(at, manifest):
            continue
        if whole.broken_packages(donor):
            continue
        own = _own_files(donor, {manifest.name, *manifest.beside})
        if own is not None:
            put = _link if manifest.closed else _copy
            _fill(donor, at.release(wanted.release) / "venv", own, owner, put)
            return manifest.release
    return None


def _fits(manifest: Manifest, wanted: Install) -> bool:
    one, other = manifest.python, wanted.python
    is_same = (one.path, one.version) == (other.path, other.version)
    return is_same and manifest.lock_sha256 == wanted.lock_sha256


def carried(at: Layout, release: str) -> List[str]:
    """The application's files in a release, relative to its site-packages: those of its wheel,
    without bytecode and the installer's own."""
    manifest = releases.manifest(at, release)
    venv = at.release(release) / "venv"
    found = []
    for path in sorted(_own_files(venv, {manifest.name}) or ()):
        inside = path.relative_to(venv).parts[3:] if venv in path.parents else ()
        if inside and not inside[0].endswith(".dist-info") and "__pycache__" not in inside:
            found.append("/".join(inside))
    return found


def _own_files(venv: Path, names: Set[str]) -> Optional[Set[Path]]:
    """The files that these distributions installed (RECORD, PEP 376); None if one has no list."""
    found: Dict[str, Set[Path]] = {normal_name(name): set() for name in names}
    for record in venv.glob("lib/python*/site-packages/*.dist-info/RECORD"):
        own = found.get(distribution(record.parent)[0])
        if own is None:
            continue
        for line in record.read_text(encoding="utf-8").splitlines():
            path = line.rsplit(",", 2)[0].strip('"')
            own.add(Path(os.path.normpath(record.parent.parent / path)))
    return set().union(*found.values()) if all(found.values()) else None


def distribution(info: Path) -> Tuple[str, str]:
    """Normal name and version of an installed distribution, from its `.dist-info` folder."""
    name, _, version = info.name[: -len(".dist-info")].rpartition("-")
    return normal_name(name), version


def normal_name(name: str) -> str:
    """A distribution's name as it is compared (PEP 503); wheels may write `_` for `.`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _fill(
    donor: Path,
    venv: Path,
    left_out: Set[Path],
    owner: Tuple[int, int],
    put: Callable[[Path, Path], None],
) -> None:
    for folder, folders, names in os.walk(donor):
        source, target = Path(folder), venv / Path(folder).relative_to(donor)
        for name in [*names, *(one for one in folders if (source / one).is_symlink())]:
            one, new = source / name, target / name
            if one in left_out or _source_of(one) in left_out or os.path.lexists(new):
                continue
            _directory(target, venv, owner)
            if one.is_symlink():
                os.symlink(os.readlink(one), new)
            elif source == donor / "bin":
                _script(one, new, donor, venv)
            else:
                put(one, new)


def _directory(path: Path, venv: Path, owner: Tuple[int, int]) -> None:
    """Make only folders with files in them: an empty `.dist-info` looks like a package."""
    for folder in reversed([path, *path.parents]):
        if venv in folder.parents and not folder.is_dir():
            files.directory(folder, 0o755, *owner)


def _source_of(path: Path) -> Optional[Path]:
    """The module that a file of bytecode was made from (PEP 3147)."""
    if path.parent.name != "__pycache__":
        return None
    return path.parent.parent / (path.name.split(".", 1)[0] + ".py")


def _script(source: Path, target: Path, donor: Path, venv: Path) -> None:
    """Copy a console script with its own interpreter in its first line."""
    text = source.read_bytes().replace(os.fsencode(donor), os.fsencode(venv))
    target.write_bytes(text)
    shutil.copymode(source, target)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    shutil.copy2(str(source), str(target))
