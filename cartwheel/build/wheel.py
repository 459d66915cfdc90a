"""Wheels: reading, checking and rewriting them so that the same content is the same bytes.

Format: the packaging specifications "Binary distribution format", "Recording
installed projects" and "Core metadata".
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cartwheel.build.origins import normal
from cartwheel.errors import BuildError

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.tags import Tag

    from cartwheel.build.products import Artifact, Platform

EPOCH_SECONDS = 315_532_800  # 1980-01-01, the first date in the zip format
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3  # "create system" of the zip format, so that modes count
OLDEST_MANYLINUX_MINOR = 5  # manylinux1 is glibc 2.5 (PEP 600)
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}  # PEP 600
MUSL_MINORS = range(1, 6)
_UNREADABLE = (OSError, EOFError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error)
_PURE = b"Wheel-Version: 1.0\nGenerator: cartwheel\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_REQUIRES = re.compile(r"^(Requires-Dist: *)(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Metadata:
    """What Cartwheel needs from a wheel's METADATA."""

    name: str  # normalised (PEP 503)
    version: str
    requires_python: str
    requires_dist: tuple[str, ...]
    extras: tuple[str, ...]

    @property
    def requires_names(self) -> frozenset[str]:
        """The names of its requirements, normalised, under all conditions."""
        return frozenset(map(requirement_name, self.requires_dist))


def read_metadata(wheel: Path) -> Metadata:
    """The METADATA of a wheel. Raises BuildError("wheel-corrupt")."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            text = archive.read(_dist_info(archive, wheel) + "/METADATA").decode("utf-8")
    except (OSError, zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise _corrupt(wheel, str(error)) from error
    message: Message = Parser().parsestr(text, headersonly=True)
    name, version = message.get("Name"), message.get("Version")
    if not name or not version:
        raise _corrupt(wheel, "its METADATA has no name or version")
    return Metadata(
        name=normal(name),
        version=version,
        requires_python=_condition(message.get("Requires-Python", "")),
        requires_dist=tuple(message.get_all("Requires-Dist", [])),
        extras=tuple(message.get_all("Provides-Extra", [])),
    )


def _condition(text: str) -> str:
    """The condition for Python; like pip, ignore a text that is none."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return ""
    return text


def verify_wheel(wheel: Path) -> Metadata:
    """Check the zip's checksums and every hash in RECORD.

    Raises BuildError("wheel-corrupt") that names the first file that is wrong, and
    BuildError("source") for a file that is not a wheel by its name.
    """
    from packaging.utils import InvalidWheelFilename, canonicalize_version, parse_wheel_filename

    try:
        name, version, _, _ = parse_wheel_filename(wheel.name)
    except InvalidWheelFilename as error:
        raise BuildError(
            "source", f"{wheel.name} does not have the name of a wheel: {error}"
        ) from error
    try:
        with zipfile.ZipFile(wheel) as archive:
            broken = archive.testzip()
            if broken is not None:
                raise _corrupt(wheel, f"the checksum of {broken} is wrong")
            _verify_record(archive, wheel)
    except _UNREADABLE as error:
        raise _corrupt(wheel, str(error)) from error
    metadata = read_metadata(wheel)
    same = canonicalize_version(metadata.version) == canonicalize_version(version)
    if metadata.name != name or not same:
        raise _corrupt(wheel, f"its METADATA is that of {metadata.name} {metadata.version}")
    return metadata


def _verify_record(archive: zipfile.ZipFile, wheel: Path) -> None:
    info = _dist_info(archive, wheel)
    record = f"{info}/RECORD"
    signatures = (f"{record}.jws", f"{record}.p7s")
    recorded = set()
    for row in csv.reader(io.StringIO(archive.read(record).decode("utf-8"))):
        name, digest = row[0], row[1] if len(row) > 1 else ""
        recorded.add(name)
        if not digest:
            if name not in (record, *signatures):
                raise _corrupt(wheel, f"{name} has no hash in RECORD")
            continue
        algorithm, _, expected = digest.partition("=")
        if algorithm not in ("sha256", "sha384", "sha512"):
            raise _corrupt(wheel, f"{name} has a weak hash in RECORD ({algorithm})")
        try:
            found = hashlib.new(algorithm, archive.read(name)).digest()
        except KeyError:
            raise _corrupt(wheel, f"{name} is in RECORD but not in the wheel") from None
        if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != expected.rstrip("="):
            raise _corrupt(wheel, f"the hash of {name} differs from RECORD")
    for name in archive.namelist():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise _corrupt(wheel, f"{name} is outside of the wheel's folder")
        if not (name.endswith("/") or name in recorded or name in signatures):
            raise _corrupt(wheel, f"{name} is not in RECORD")


def _dist_info(archive: zipfile.ZipFile, wheel: Path) -> str:
    found = {
        name.split("/", 1)[0]
        for name in archive.namelist()
        if name.count("/") == 1 and name.endswith(".dist-info/METADATA")
    }
    if len(found) != 1:
        raise _corrupt(wheel, "it must have exactly one .dist-info folder with METADATA")
    return found.pop()


def _corrupt(wheel: Path, why: str) -> BuildError:
    return BuildError("wheel-corrupt", f"{wheel.name} is damaged: {why}")


def metadata_lines(name: str, version: str, requires: Iterable[str] = ()) -> list[str]:
    """The METADATA of a wheel that Cartwheel makes."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    return [*lines, *(f"Requires-Dist: {line}" for line in requires)]


def write_pure_wheel(
    folder: Path, stem: str, metadata: Iterable[str], files: Mapping[str, tuple[bytes, bool]]
) -> Path:
    """Write a wheel for every platform; `stem` is NAME-VERSION."""
    info = f"{stem}.dist-info"
    own = {
        f"{info}/METADATA": ("\n".join([*metadata, ""]).encode(), False),
        f"{info}/WHEEL": (_PURE, False),
    }
    path = folder / f"{stem}-py3-none-any.whl"
    write_wheel(path, {**files, **own}, info)
    return path


def write_wheel(path: Path, files: dict[str, tuple[bytes, bool]], info: str) -> None:
    """Write a wheel whose bytes only depend on `files`: name -> (content, executable).

    `info` is the name of the .dist-info folder; RECORD is made here.
    """
    record = f"{info}/RECORD"
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    # The specification wants .dist-info at the end of the archive.
    names = sorted(
        (name for name in files if name != record),
        key=lambda name: (name.startswith(f"{info}/"), name),
    )
    for name in names:
        content = files[name][0]
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow([name, f"sha256={digest}", len(content)])
    writer.writerow([record, "", ""])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            content, executable = files[name]
            archive.writestr(_entry(name, executable=executable), content, compresslevel=6)
        archive.writestr(
            _entry(record, executable=False), rows.getvalue().encode(), compresslevel=6
        )


def _entry(name: str, *, executable: bool) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system = _UNIX
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (stat.S_IFREG | (0o755 if executable else 0o644)) << 16
    return entry


def normalise_wheel(
    built: Path, folder: Path, more: Iterable[tuple[str, Path]] = ()
) -> tuple[Path, list[str]]:
    """Rewrite `built` into `folder`, sorted, with one date and plain modes, and with those files of
    `more`, by their names in the wheel, that it lacks.

    Direct references lose their addresses, which may contain the folder of this build or a
    password; the references are returned.
    """
    with zipfile.ZipFile(built) as archive:
        info = _dist_info(archive, built)
        files = {
            entry.filename: (archive.read(entry), bool((entry.external_attr >> 16) & 0o111))
            for entry in archive.infolist()
            if not entry.is_dir()
        }
    for name, path in more:
        if name not in files:
            files[name] = (path.read_bytes(), bool(path.stat().st_mode & 0o111))
    content, executable = files[f"{info}/METADATA"]
    text, references = _without_addresses(content.decode("utf-8"))
    files[f"{info}/METADATA"] = (text.encode(), executable)
    target = folder / built.name
    write_wheel(target, files, info)
    return target, references


def _without_addresses(metadata: str) -> tuple[str, list[str]]:
    found: list[str] = []

    def bare(line: re.Match[str]) -> str:
        if not is_reference(line[2]):
            return line[0]
        found.append(line[2])
        return f"{line[1]}{asked_for(line[2])}"

    head, blank, body = metadata.partition("\n\n")
    return _REQUIRES.sub(bare, head) + blank + body, found


def _requirement(line: str) -> Requirement | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(line)
    except InvalidRequirement:
        return None


def parsed(line: str, where: str) -> Requirement:
    """A requirement that a file declares in the line `where`. Raises BuildError("source")."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(line)
    except InvalidRequirement as error:
        why = str(error).splitlines()[0]
        raise BuildError(
            "source",
            f"{where}: {line!r} is not a requirement: {why}",
            hint="Write NAME, NAME==VERSION or NAME>=VERSION,<VERSION.",
        ) from error


def is_reference(line: str) -> bool:
    """Whether a requirement contains its source (PEP 508: NAME @ URL)."""
    found = _requirement(line)
    return found is not None and found.url is not None


def requirement_name(line: str) -> str:
    """The name of a requirement, normalised; empty if it is not one."""
    found = _requirement(line)
    return normal(found.name) if found else ""


def asked_for(line: str) -> str:
    """A requirement without its address."""
    from packaging.requirements import Requirement

    requirement = Requirement(line)
    requirement.url = None
    return str(requirement)


def check_wheel_fits(artifact: Artifact, platform: Platform) -> None:
    """Raises BuildError("wheel-platform") if a host of `platform` cannot install the wheel."""
    from packaging.specifiers import SpecifierSet
    from packaging.utils import parse_wheel_filename

    _, _, _, tags = parse_wheel_filename(artifact.wheel.name)
    where = f"Python {platform.python}, {platform.libc} {platform.libc_version}, {platform.machine}"
    if not tags & platform_tags(platform):
        made_for = ", ".join(sorted(map(str, tags)))
        raise BuildError(
            "wheel-platform", f"{artifact.wheel.name} is for {made_for}; the host has {where}"
        )
    wanted = read_metadata(artifact.wheel).requires_python
    if not SpecifierSet(wanted).contains(platform.python, prereleases=True):
        raise BuildError(
            "wheel-platform",
            f"{artifact.name} {artifact.version} needs Python {wanted}; the host has"
            f" {platform.python}",
            hint="Set app.python to a version that fits, and run `fab setup`.",
        )


def platform_tags(platform: Platform) -> frozenset[Tag]:
    """Every tag that CPython on `platform` takes (PEP 425, 600 and 656)."""
    from packaging.tags import compatible_tags, cpython_tags

    major, minor = (int(part) for part in platform.python.split(".")[:2])
    platforms = machine_tags(platform)
    interpreter = f"cp{major}{minor}"
    return frozenset(
        [
            *cpython_tags((major, minor), abis=[interpreter], platforms=platforms),
            *compatible_tags((major, minor), interpreter=interpreter, platforms=platforms),
        ]
    )


def machine_tags(platform: Platform) -> list[str]:
    """The tags of platforms for which wheels run there, the best first."""
    machine = platform.machine
    numbers = [int(part) for part in platform.libc_version.split(".")[:2] if part.isdigit()]
    libc_minor = numbers[1] if len(numbers) > 1 else 0
    found = [f"linux_{machine}"]
    if platform.libc == "musl":
        # Wheels name the ABI generation musllinux_1_N; N is musl's own minor (PEP 656).
        known = (minor for minor in MUSL_MINORS if minor <= libc_minor)
        return [*found, *(f"musllinux_1_{minor}_{machine}" for minor in known)]
    for minor in range(libc_minor, OLDEST_MANYLINUX_MINOR - 1, -1):
        found.append(f"manylinux_2_{minor}_{machine}")
        if minor in _LEGACY:
            found.append(f"{_LEGACY[minor]}_{machine}")
    return found
