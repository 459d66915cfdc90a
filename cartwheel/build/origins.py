"""The origin of a package with its own source: it is never looked up on an index."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, Literal, ParamSpec, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from cartwheel.build.index import bare
from cartwheel.decoded import Table
from cartwheel.errors import BuildError
from cartwheel.settings.positions import Path as Keys
from cartwheel.settings.positions import Position, positions

if TYPE_CHECKING:
    from packaging.requirements import Requirement

Rest = ParamSpec("Rest")
Result = TypeVar("Result")

# "refused": its source cannot be used; `place` says why.
Kind = Literal["path", "git", "url", "index", "refused"]

_OTHER_CONTROL = ("hg+", "svn+", "bzr+")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")  # as pip reads them
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


@dataclass(frozen=True)
class Origin:
    """The source of one package. `place` may contain credentials: use `text` in messages."""

    name: str  # normalised (PEP 503); empty if only its files can tell
    kind: Kind
    place: str = field(repr=False)  # an absolute path, or a URL
    where: str  # FILE:LINE that says so
    reference: str = ""  # git: a commit, tag or branch, empty is its HEAD; index: uv's `format`
    subdirectory: str = ""
    sha256: str = ""  # of a file, where it is known
    is_package: bool = True  # False: only its requirements count (uv: `package = false`)

    @property
    def text(self) -> str:
        """The place as text, without credentials."""
        inside = f", folder {self.subdirectory}" if self.subdirectory else ""
        at = f"@{self.reference}" if self.reference and self.kind == "git" else ""
        return f"{bare(self.place)}{at}{inside}"

    @property
    def is_local(self) -> bool:
        """Whether it is built here from local files."""
        return self.kind != "index"

    def same_as(self, other: Origin) -> bool:
        """Whether both are the same code; a branch is the same as the other's commit."""
        if (self.kind, self.subdirectory) != (other.kind, other.subdirectory):
            return False
        if self.kind == "git":
            both = (self.reference, other.reference)
            agree = self.reference == other.reference or sum(map(is_commit, both)) == 1
            return repository(self.place) == repository(other.place) and agree
        return bare(self.place).rstrip("/") == bare(other.place).rstrip("/")

    def refusal(self, why: str, slug: str = "source-unusable", detail: str = "") -> BuildError:
        """The error for a source that cannot be used, with the line of the requirement."""
        return BuildError(slug, f"{self.where}: {self.name or self.text}: {why}", detail=detail)


def is_commit(reference: str) -> bool:
    """Whether it is a full commit id, which never changes."""
    return bool(_COMMIT.match(reference))


def repository(url: str) -> str:
    """A repository's URL without parts that make no difference."""
    return bare(url).rstrip("/").removesuffix(".git")


class TomlFile:
    """A TOML file with the line of each of its keys."""

    def __init__(self, path: Path) -> None:
        """Empty if there is no file. Raises BuildError("source") if it is broken."""
        self.path = path
        self.table: Table = {}
        self._text = ""
        try:
            self._text = path.read_text(encoding="utf-8")
            self.table = tomllib.loads(self._text)
        except FileNotFoundError:
            pass
        except (ValueError, RecursionError, OSError) as error:
            raise BuildError("source", f"{path}: {error}") from error

    def at(self, *keys: str) -> Table:
        """The table under `keys`, empty without one."""
        found: object = self.table
        for key in keys:
            found = found.get(key, {}) if isinstance(found, dict) else {}
        return found if isinstance(found, dict) else {}

    def tables(self, *keys: str) -> list[Table]:
        """The array of tables under `keys`, empty without one."""
        found = self.at(*keys[:-1]).get(keys[-1], [])
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def where(self, *keys: str | int) -> str:
        """FILE:LINE of a key, or of the nearest table around it that has a line."""
        path: Keys = keys
        while path and path not in self._positions:
            path = path[:-1]
        return f"{self.path}:{self._positions[path].line}" if path else str(self.path)

    def line(self, number: int) -> str:
        """The text of a line, counted from 1; empty without one."""
        return next(itertools.islice(self._text.splitlines(), number - 1, None), "")

    @functools.cached_property
    def _positions(self) -> dict[Keys, Position]:
        return positions(self._text)

    def where_table(self, key: str, number: int) -> str:
        """FILE:LINE of a table in an array at the top: quick, because locks are long."""
        header = re.compile(rf"\s*\[\[\s*{key}\s*\]\]")
        lines = (n for n, line in enumerate(self._text.splitlines(), 1) if header.match(line))
        line = next(itertools.islice(lines, number, None), None)
        return str(self.path) if line is None else f"{self.path}:{line}"


@contextlib.contextmanager
def understood(where: str) -> Iterator[None]:
    """Values that a person or a tool wrote may be of any type: raises BuildError("source") that
    names `where` they are."""
    try:
        yield
    except (
        TypeError,
        AttributeError,
        ValueError,
        LookupError,
        OSError,
        NotImplementedError,
    ) as error:
        raise BuildError(
            "source",
            f"{where}: this is not what its tool writes: {error}",
            hint="Its own tool names the mistake: `uv lock`, `poetry check`, `pdm lock --check`.",
        ) from error


def from_tables(
    read: Callable[Concatenate[Path, Rest], Result],
) -> Callable[Concatenate[Path, Rest], Result]:
    """Makes mistakes in a folder's pyproject.toml errors of `read` that name the file."""

    @functools.wraps(read)
    def reading(folder: Path, /, *args: Rest.args, **kwargs: Rest.kwargs) -> Result:
        with understood(str(folder / "pyproject.toml")):
            return read(folder, *args, **kwargs)

    return reading


def pyproject(folder: Path) -> TomlFile:
    """A folder's pyproject.toml. Raises BuildError("source") if it is broken."""
    return TomlFile(folder / "pyproject.toml")


def normal(name: str) -> str:
    """A distribution's name, normalised (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def origin_at(name: str, address: str, base: Path, where: str) -> Origin:
    """The source at an address, in a requirement or a lock: `git+...`, `file:...`,
    `https://...` or a path, which is relative to `base`."""
    try:
        return _origin_at(name, address, base, where)
    except ValueError as error:
        return Origin(normal(name), "refused", f"{address!r} is no address: {error}", where)


def _origin_at(name: str, address: str, base: Path, where: str) -> Origin:
    address = _VARIABLE.sub(lambda found: os.environ.get(found[1], found[0]), address.strip())
    address, _, fragment = address.partition("#")
    said = {key: values[0] for key, values in parse_qs(fragment).items()}
    name = normal(name or re.split(r"[\[&]", said.get("egg", ""))[0])
    inside, sha256 = said.get("subdirectory", "").strip("/"), said.get("sha256", "")
    if address.startswith(_OTHER_CONTROL):
        why = f"{address.partition('+')[0]} is not supported, only git"
        return Origin(name, "refused", why, where)
    if address.startswith("git+"):
        place, reference = _without_reference(address[len("git+") :])
        return Origin(name, "git", repository_at(place, base), where, reference, inside)
    if address.lower().startswith(("http:", "https:")):
        return Origin(name, "url", address, where, "", inside, sha256)
    if _SCHEME.match(address) and not address.lower().startswith("file:"):
        return Origin(name, "refused", f"{bare(address)} is not the address of a package", where)
    return Origin(name, "path", local_path(address, base), where, "", inside, sha256)


def origin_of(requirement: Requirement, base: Path, where: str) -> Origin:
    """The source of a direct reference, NAME @ ADDRESS."""
    return origin_at(requirement.name, requirement.url or "", base, where)


def local_path(address: str, base: Path) -> str:
    """The absolute path for a path or a file: URL. `file:../x` is relative."""
    path = address
    if address.lower().startswith("file:"):
        parts = urlsplit(address)
        host = "" if parts.netloc in ("", "localhost") else parts.netloc  # file://../x
        path = unquote(host + parts.path)
    return os.path.normpath(base / os.path.expanduser(path))  # noqa: PTH111 - Path raises errors


def repository_at(address: str, base: Path) -> str:
    """The address for git; a path is made absolute."""
    if address.lower().startswith("file:") or not (
        _SCHEME.match(address) or re.match(r"^[^/]+:", address)
    ):
        return Path(local_path(address, base)).as_uri()
    return address


def _without_reference(url: str) -> tuple[str, str]:
    """A repository's address and the `@REFERENCE` after its path."""
    if "://" in url or url.startswith("file:"):
        parts = urlsplit(url)
        path, _, reference = parts.path.partition("@")
        return urlunsplit(parts._replace(path=path)), reference
    head, _, tail = url.rpartition("@")  # git@host:me/money.git@main
    return (head, tail) if head and ":" in head and ":" not in tail else (url, "")


def merged(known: Mapping[str, Origin], more: Mapping[str, Origin]) -> dict[str, Origin]:
    """Merge both, if they agree; a usable source wins over one that is not usable.

    Raises BuildError("source-conflict") naming both lines.
    """
    for name, origin in more.items():
        first = known.get(name, origin)
        if "refused" not in (first.kind, origin.kind) and not first.same_as(origin):
            raise BuildError(
                "source-conflict",
                f"{name} comes from {first.text} ({first.where}) and from {origin.text}"
                f" ({origin.where})",
            )
    usable = {name: one for name, one in known.items() if one.kind != "refused"}
    return {**known, **more, **usable}
