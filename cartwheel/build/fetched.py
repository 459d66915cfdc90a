"""Gets the files of an origin: a local folder or file, a repository, a download."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from cartwheel.build import repository, store
from cartwheel.build.download import download
from cartwheel.build.index import Access
from cartwheel.build.origins import Origin, normal
from cartwheel.build.workspace import name_in
from cartwheel.events import Emit, silent

_ARCHIVES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
_FILE_NAME = re.compile(r"^([A-Za-z0-9][\w.]*(?:-[A-Za-z][\w.]*)*)-\d")
_NAME_IN_SETUP = re.compile(r"(?:^|[\s(,])name\s*=\s*[\"']?([A-Za-z0-9][\w.-]*)")


@contextlib.contextmanager
def fetched(origin: Origin, access: Access, emit: Emit) -> Iterator[tuple[Path, Path | None]]:
    """(file or folder, the temporary folder around it, if there is one).

    Raises BuildError: source-unusable, git-source, hash-mismatch.
    """
    if origin.kind == "refused":
        raise origin.refusal(origin.place)
    if origin.kind == "git":
        with repository.checked_out(origin, emit) as folder:
            yield _inside(origin, folder), folder
        return
    with tempfile.TemporaryDirectory(prefix="cartwheel-source-") as name:
        scratch = Path(name).resolve()
        path, top = Path(origin.place), None
        if origin.kind == "url":
            path, top = download(origin, access, scratch), scratch
        if not path.exists():
            raise origin.refusal(f"there is no {path}")
        if path.is_file() and origin.sha256 and store.sha256_of(path) != origin.sha256:
            raise origin.refusal(
                f"the hash of {origin.text} is not the one named here", "hash-mismatch"
            )
        if path.is_file() and _is_archive(path.name):
            path = top = _unpacked(origin, path, scratch / "unpacked")
        yield _inside(origin, path), top


def _inside(origin: Origin, folder: Path) -> Path:
    path = Path(os.path.normpath(folder / origin.subdirectory))
    if (path != folder and folder not in path.parents) or not path.exists():
        raise origin.refusal(f"{origin.text} has no such folder")
    return path


def _is_archive(name: str) -> bool:
    return name.lower().endswith(_ARCHIVES)


def _unpacked(origin: Origin, archive: Path, folder: Path) -> Path:
    """The only folder in an archive (an sdist, or an archive of a repository)."""
    folder.mkdir()
    try:
        if archive.name.lower().endswith(".zip"):
            shutil.unpack_archive(archive, folder, "zip")
        else:
            with tarfile.open(archive) as packed:
                _extract(packed, folder)
    except (OSError, tarfile.TarError, zipfile.BadZipFile, EOFError, shutil.ReadError) as error:
        raise origin.refusal(f"{origin.text} cannot be unpacked: {error}") from error
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _extract(packed: tarfile.TarFile, folder: Path) -> None:
    """Without what leads out of the folder. Python has a filter for that since 3.11.4; with an
    earlier one (Debian 12's), files and folders are all that an archive may have."""
    if hasattr(tarfile, "data_filter"):
        packed.extractall(folder, filter="data")
        return
    for member in packed:
        place = Path(os.path.normpath(folder / member.name))
        if not place.is_relative_to(folder) or not (member.isfile() or member.isdir()):
            raise tarfile.ExtractError(f"{member.name} is not a file or folder inside it")
    packed.extractall(folder)  # noqa: S202 - each member is checked above


def name_of(origin: Origin) -> str:
    """The name of a package whose requirement has none, such as `./money` or `git+https://...`.

    Raises BuildError("source-unusable") if its files do not say it.
    """
    last = origin.place.rstrip("/").rpartition("/")[2]
    if origin.kind in ("path", "url") and (last.endswith(".whl") or _is_archive(last)):
        found = _FILE_NAME.match(last)
        if found:
            return normal(found[1])
    with fetched(origin, Access(), silent) as (path, _top):
        name = name_in(path) if path.is_dir() else ""
        for file in ("setup.cfg", "setup.py"):
            if not name and (path / file).is_file():
                said = _NAME_IN_SETUP.search((path / file).read_text(encoding="utf-8"))
                name = normal(said[1]) if said else ""
    if not name:
        raise origin.refusal("its name cannot be read: write NAME @ URL")
    return name
