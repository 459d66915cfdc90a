"""Check that a release has everything it needs to run: `problem` quickly, `damage` file by file.

The quick check covers the release's own files, the interpreter, and one listing of its packages;
every look at a host can afford it. Only `damage` finds a file that is missing inside a package;
the quick check calls it only if a package was touched after the release was made.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import Iterator, List, Optional, Tuple, Union

from cartwheel.host.layout import OLD_SLOTS, Layout, first_of, is_slot
from cartwheel.host.state import record
from cartwheel.host.system import content_times, envfile, files, reach
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.instance import WEB, Instance
from cartwheel.host.wire.manifest import MADE, PLACED, Manifest

# For a release of an older version, whose manifest does not list them.
_OWN_FILES = ("gunicorn.conf.py", "lock.txt", "web.service", "web-b.service")
# Cartwheel's records of a release, and its secrets: nothing that a person wrote or reads.
BOOKKEEPING = {"env", "release.json", "steps.json", "install.txt", "damaged.json"}
BOOKKEEPING |= {"settings.json", "assigned.json"}
_VERSIONED = re.compile(r"python\d+\.\d+t?")  # t: free-threaded
_HIDES_HOME = re.compile(r"^ProtectHome=(?!no|false|0|off|read-only)", re.MULTILINE)
_HASH = "sha256"


def with_contents(at: Layout, manifest: Manifest) -> Manifest:
    """The manifest completed for a finished release: digests of its own files (not of `env`, which
    is secret), and the entries of its site-packages."""
    folder = at.release(manifest.release)
    own = [folder / name for name in files.names(folder) if name not in BOOKKEEPING]
    digests = {path.name: files.sha256_of(path) for path in own if not path.is_symlink()}
    site, made = _site(folder), at.static(manifest.release)
    return replace(
        manifest,
        files={name: digest for name, digest in digests.items() if digest},
        packages=tuple(files.names(site)) if site is not None else (),
        static=content_times.digest_of(made) if files.is_folder(made) else "",
    )


def problem(at: Layout, manifest: Manifest) -> str:
    """What the release lacks, as text; "" if the quick check finds it whole. An older version's
    manifest says less, so less is checked."""
    folder = at.release(manifest.release)
    try:
        return (
            _marked(at, manifest.release)
            or _own_files(folder, manifest)
            or _placed_files(folder, manifest)
            or _static_files(folder, manifest)
            or _environment(folder, manifest)
            or _socket_link(at, manifest.release)
            or _venv(folder, manifest)
            or _access(at, folder)
            or _packages(folder, manifest)
        )
    except OSError as error:
        return f"{error.filename}: {error.strerror}"


def damage(at: Layout, manifest: Manifest) -> List[str]:
    """Everything that is missing or changed: installed files, by the sizes and hashes in every
    package's RECORD, and the release's own files."""
    folder = at.release(manifest.release)
    found = [problem(at, manifest)]
    found += [
        f"{name} was changed after it was written"
        for name, digest in manifest.files.items()
        if (folder / name).is_file() and files.sha256_of(folder / name) != digest
    ]
    made = folder / MADE
    if manifest.static and made.is_dir() and content_times.digest_of(made) != manifest.static:
        found.append(f"files in {MADE} were changed after its command made them")
    found += broken_packages(folder / "venv", hashes=True)
    return list(dict.fromkeys(text for text in found if text))


def mark(at: Layout, release: str, what: str) -> None:
    """Mark the damage, so that the quick check finds it too and the next deploy rebuilds it."""
    files.write_json(_mark_path(at, release), {"what": what})


def _mark_path(at: Layout, release: str) -> Path:
    return at.release(release) / "damaged.json"


def _marked(at: Layout, release: str) -> str:
    try:
        return str((files.read_json(_mark_path(at, release)) or {}).get("what", ""))
    except OpError:
        return "it was marked as damaged"


def _own_files(folder: Path, manifest: Manifest) -> str:
    for name in manifest.files or _OWN_FILES:
        size = _size(folder / name)
        if not size:
            return "{} is {}".format(name, "missing" if size is None else "empty")
    return ""


def _placed_files(folder: Path, manifest: Manifest) -> str:
    """Find a missing file of the application's configuration; it may be empty or changed."""
    names = (f"{PLACED}/{name}" for name in sorted(manifest.placed))
    return next((f"{name} is missing" for name in names if _size(folder / name) is None), "")


def _static_files(folder: Path, manifest: Manifest) -> str:
    is_missing = manifest.static and not files.is_folder(folder / MADE)
    return f"{MADE} is missing" if is_missing else ""


def _size(path: Union[str, Path]) -> Optional[int]:
    """Bytes of a regular file; None if there is none."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _environment(folder: Path, manifest: Manifest) -> str:
    try:
        names = envfile.parse((folder / "env").read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        return "env is missing"
    except ValueError as error:
        return f"env is damaged: {error}"
    missing = sorted(set(manifest.env) - set(names))
    return "env lacks {}".format(", ".join(missing)) if missing else ""


def _socket_link(at: Layout, release: str) -> str:
    target = files.read_link(at.socket_link(release))
    if target is None:
        return "http.sock is missing"
    one = Instance(WEB, release, Path(target).parent.name)
    is_ours = is_slot(one.slot) and target == str(at.socket(one))
    return "" if is_ours else "http.sock points elsewhere"


def _venv(folder: Path, manifest: Manifest) -> str:
    venv = folder / "venv"
    for path in (venv, venv / "pyvenv.cfg", venv / "bin" / "gunicorn"):
        if not path.exists():
            return f"{path.relative_to(folder)} is missing"
    real = os.path.realpath(venv / "bin" / "python")
    if not os.path.isfile(real):
        return f"its interpreter {real} is not there"
    if not os.access(real, os.X_OK) or not os.access(venv / "bin" / "gunicorn", os.X_OK):
        return "its interpreter or gunicorn may not be executed"
    return _interpreter(venv, real, manifest)


def _interpreter(venv: Path, real: str, manifest: Manifest) -> str:
    """Check that the interpreter still has the version that the packages were installed for."""
    site = _site(venv.parent)
    if site is None:
        return "venv/lib is missing"
    version = site.parent.name  # python3.11
    named = _VERSIONED.match(os.path.basename(real))
    if named and named.group() != version:
        return f"its interpreter {real} is not the {version} of its packages"
    known = manifest.python.stdlib
    libraries = [Path(real).parent.parent / lib / version for lib in ("lib", "lib64")]
    if known and not any((one / "os.py").exists() for one in (*libraries, Path(known))):
        return f"the standard library of its interpreter {real} is not there"
    return ""


def _access(at: Layout, folder: Path) -> str:
    """Check that the app's user can reach what it runs, and that its unit allows it."""
    known = record.read(at)
    if known is None:
        return ""
    who = reach.account(known.user, known.group)
    python = str(folder / "venv" / "bin" / "python")
    site = _site(folder)
    needed = [(python, True), (str(folder / "venv" / "bin" / "gunicorn"), True), (str(site), False)]
    for path, execute in needed:
        found = reach.obstacle(path, who, execute=execute)
        if found:
            return found
    unit = at.unit_source(first_of(folder.name))
    if not unit.exists():
        unit = at.unit_source(Instance(WEB, folder.name, OLD_SLOTS[0]))
    if _HIDES_HOME.search(unit.read_text(encoding="utf-8")) and reach.in_home(python):
        return f"its interpreter is in a home ({os.path.realpath(python)}), which its unit hides"
    return ""


def _packages(folder: Path, manifest: Manifest) -> str:
    site = _site(folder)
    if site is None:
        return "venv/lib is missing"
    with os.scandir(site) as listing:
        there = {entry.name: entry.stat(follow_symlinks=False) for entry in listing}
    missing = sorted(set(manifest.packages or ("gunicorn",)) - set(there))
    if missing:
        return f"of its packages {_few(missing)} is missing"
    made = (folder / "release.json").stat().st_mtime_ns
    if any(status.st_mtime_ns >= made for status in there.values()):
        return _few(broken_packages(folder / "venv"))
    return ""


def _few(texts: List[str]) -> str:
    more = f" and {len(texts) - 1} more" if len(texts) > 1 else ""
    return texts[0] + more if texts else ""


def _site(folder: Path) -> Optional[Path]:
    """The folder of the release's packages, for the Python that it was made with."""
    found = sorted((folder / "venv").glob("lib/python*/site-packages"))
    return found[0] if found else None


def broken_packages(venv: Path, *, hashes: bool = False) -> List[str]:
    """Installed files that are missing or have another size than in their RECORD (PEP 376); with
    `hashes` also those with other bytes."""
    found: List[str] = []
    for info in sorted(venv.glob("lib/python*/site-packages/*.dist-info")):
        try:
            for path, digest, size in _recorded(info):
                found += _complaint(str(info.parent), path, digest if hashes else "", size)
        except OSError:
            found.append("{} is missing".format(info.name + "/RECORD"))
    return found


def _recorded(info: Path) -> Iterator[Tuple[str, str, str]]:
    """Path, hash and size of every file except bytecode, which Python can make again."""
    with open(str(info / "RECORD"), encoding="utf-8", newline="") as record:
        for row in csv.reader(record):
            if len(row) == 3 and not row[0].endswith(".pyc"):
                yield row[0], row[1], row[2]


def _complaint(site: str, path: str, digest: str, size: str) -> List[str]:
    one = f"{site}/{path}"
    there = _size(one)
    if there is None:
        return [f"{path} is missing"]
    if path.startswith("../"):
        return []  # a script: its first line names its own environment's interpreter
    if size and there != int(size):
        return [f"{path} has {there} bytes, and was installed with {size}"]
    if digest.startswith(_HASH + "=") and digest != _digest(one):
        return [f"{path} was changed after it was installed"]
    return []


def _digest(path: str) -> str:
    found = hashlib.sha256(Path(path).read_bytes()).digest()
    return _HASH + "=" + base64.urlsafe_b64encode(found).rstrip(b"=").decode()
