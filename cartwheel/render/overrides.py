"""The user's templates that replace built-in ones; each has the digest of its original."""

from __future__ import annotations

import difflib
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from cartwheel import writing
from cartwheel.errors import UsageError
from cartwheel.places import own
from cartwheel.settings.project_files import files_of

_DIGEST_CHARACTERS = 16
_MARK = re.compile(r"^\{# cartwheel: (?P<name>[\w.-]+) as of (?P<digest>[0-9a-f]+) #\}\n")


@dataclass(frozen=True)
class Template:
    """A built-in template, and the project's override. `digest` is that of the built-in template
    now, `taken_from` that of the template from which the override was made; "" if unknown."""

    name: str
    digest: str
    override: Path | None = None
    taken_from: str = ""

    @property
    def is_stale(self) -> bool:
        """Whether the built-in template has changed since: the override lacks the changes."""
        return bool(self.override and self.taken_from and self.taken_from != self.digest)


def templates(project: Path) -> list[Template]:
    """All built-in templates by name, each with the project's override."""
    return [_template(project, name) for name in _names()]


def stale_notes(project: Path) -> tuple[str, ...]:
    """Notes about overrides whose originals have changed."""
    return tuple(
        f"{_place(project, one.name)} replaces a template that has changed since: `fab"
        f" templates.diff {one.name}`, then `fab templates.keep {one.name}`"
        for one in templates(project)
        if one.is_stale
    )


def eject(project: Path, name: str) -> Path:
    """Copy a built-in template into the project. Raises UsageError if it exists there."""
    original = _original(name)
    target = project / _place(project, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(_mark(name) + original.read_text(encoding="utf-8"))
    except FileExistsError:
        message = f"{_place(project, name)} already exists"
        raise UsageError("usage", message, hint=f"See `fab templates.diff {name}`.") from None
    return target


def keep(project: Path, name: str) -> None:
    """Mark the override as up to date with the built-in template. Raises UsageError."""
    target = _override(project, name)
    text = target.read_text(encoding="utf-8")
    try:
        writing.write(target, (_mark(name) + _MARK.sub("", text)).encode(), mode=0o666)
    except OSError as error:
        raise UsageError("usage", f"{target}: {error.strerror}") from error


def diff(project: Path, name: str) -> str:
    """A unified diff from the built-in template to the override. Raises UsageError."""
    override = _MARK.sub("", _override(project, name).read_text(encoding="utf-8"))
    lines = difflib.unified_diff(
        _original(name).read_text(encoding="utf-8").splitlines(keepends=True),
        override.splitlines(keepends=True),
        f"cartwheel/{name}",
        _place(project, name),
    )
    return "".join(lines)


def _place(project: Path, name: str) -> str:
    """The path of the project's own template."""
    return f"{files_of(project).templates}/{name}"


def _built_in() -> Path:
    return own("templates")


def _template(project: Path, name: str) -> Template:
    override = project / _place(project, name)
    if not override.is_file() or override.samefile(_built_in() / name):
        return Template(name, _digest(name))
    found = _MARK.match(override.read_text(encoding="utf-8", errors="replace"))
    return Template(name, _digest(name), override, found["digest"] if found else "")


def _override(project: Path, name: str) -> Path:
    _original(name)
    place = _place(project, name)
    path = project / place
    if not path.is_file():
        message = f"there is no {place}"
        raise UsageError("usage", message, hint=f"`fab templates.eject {name}` creates it.")
    return path


def _original(name: str) -> Path:
    known = _names()
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(known)}."
        raise UsageError("usage", f"there is no template {name!r}", hint=hint)
    return _built_in() / name


def _names() -> list[str]:
    return sorted(path.name for path in _built_in().glob("*.j2"))


def _digest(name: str) -> str:
    return hashlib.sha256((_built_in() / name).read_bytes()).hexdigest()[:_DIGEST_CHARACTERS]


def _mark(name: str) -> str:
    return f"{{# cartwheel: {name} as of {_digest(name)} #}}\n"
