"""Templates of the user's own in place of ours: taken out with the digest of their original."""

from __future__ import annotations

import difflib
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from cartwheel import writing
from cartwheel.errors import UsageError
from cartwheel.places import own

FOLDER = "templates"
_DIGEST_CHARACTERS = 16
_MARK = re.compile(r"^\{# cartwheel: (?P<name>[\w.-]+) as of (?P<digest>[0-9a-f]+) #\}\n")


@dataclass(frozen=True)
class Template:
    """One of ours, and the project's own in its place. `digest` is what ours is now, `taken_from`
    what it was when the other was made; "" where nothing says it."""

    name: str
    digest: str
    override: Path | None = None
    taken_from: str = ""

    @property
    def is_stale(self) -> bool:
        """Whether ours has changed since: what was mended in it is not in the override."""
        return bool(self.override and self.taken_from and self.taken_from != self.digest)


def templates(project: Path) -> list[Template]:
    """All of ours by name, each with what the project has in its place."""
    return [_template(project, name) for name in _names()]


def stale_notes(project: Path) -> tuple[str, ...]:
    """What to say of overrides whose originals have changed."""
    return tuple(
        f"{FOLDER}/{one.name} replaces a template that has changed since: `fab templates.diff"
        f" {one.name}`, then `fab templates.keep {one.name}`"
        for one in templates(project)
        if one.is_stale
    )


def eject(project: Path, name: str) -> Path:
    """Copy one of ours into the project. Raises UsageError where there is one already."""
    original = _original(name)
    target = project / FOLDER / name
    target.parent.mkdir(exist_ok=True)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(_mark(name) + original.read_text(encoding="utf-8"))
    except FileExistsError:
        message = f"{FOLDER}/{name} is there already"
        raise UsageError("usage", message, hint=f"See `fab templates.diff {name}`.") from None
    return target


def keep(project: Path, name: str) -> None:
    """Say that the override is right for our template as it is now. Raises UsageError."""
    target = _override(project, name)
    text = target.read_text(encoding="utf-8")
    try:
        writing.write(target, (_mark(name) + _MARK.sub("", text)).encode(), mode=0o666)
    except OSError as error:
        raise UsageError("usage", f"{target}: {error.strerror}") from error


def diff(project: Path, name: str) -> str:
    """From our template as it is now to the override, as a unified diff. Raises UsageError."""
    override = _MARK.sub("", _override(project, name).read_text(encoding="utf-8"))
    lines = difflib.unified_diff(
        _original(name).read_text(encoding="utf-8").splitlines(keepends=True),
        override.splitlines(keepends=True),
        f"cartwheel/{name}",
        f"{FOLDER}/{name}",
    )
    return "".join(lines)


def _template(project: Path, name: str) -> Template:
    override = project / FOLDER / name
    if not override.is_file() or override.samefile(own(FOLDER) / name):
        return Template(name, _digest(name))
    found = _MARK.match(override.read_text(encoding="utf-8", errors="replace"))
    return Template(name, _digest(name), override, found["digest"] if found else "")


def _override(project: Path, name: str) -> Path:
    _original(name)
    path = project / FOLDER / name
    if not path.is_file():
        message = f"there is no {FOLDER}/{name}"
        raise UsageError("usage", message, hint=f"`fab templates.eject {name}` makes it.")
    return path


def _original(name: str) -> Path:
    known = _names()
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        hint = f"Did you mean {close[0]}?" if close else f"There are {', '.join(known)}."
        raise UsageError("usage", f"there is no template {name!r}", hint=hint)
    return own(FOLDER) / name


def _names() -> list[str]:
    return sorted(path.name for path in own(FOLDER).glob("*.j2"))


def _digest(name: str) -> str:
    return hashlib.sha256((own(FOLDER) / name).read_bytes()).hexdigest()[:_DIGEST_CHARACTERS]


def _mark(name: str) -> str:
    return f"{{# cartwheel: {name} as of {_digest(name)} #}}\n"
