"""The users of the site's paths: read and checked here, before any host gets them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from cartwheel.errors import UsageError, first_of
from cartwheel.hidden import Hidden
from cartwheel.settings import password_file
from cartwheel.settings.toml_tables import Secret, Settings
from cartwheel.settings.validation import dotted
from cartwheel.settings.variables import Taken, resolve_each

_NOT_TAKEN: Taken = {}


def users_of(settings: Settings, project: Path, taken: Taken = _NOT_TAKEN) -> dict[str, Hidden]:
    """The text of each path's file of users. Raises UsageError("secret") if one cannot be read, and
    UsageError("bad-users") with every wrong line."""
    return _read(_sources(settings), project, taken)


def check_users(settings: Settings, project: Path) -> None:
    """The same where no command may run and no variable be set: those that are files that are
    there."""
    there = {
        path: one
        for path, one in _sources(settings).items()
        if one.file is not None and (project / Path(one.file).expanduser()).exists()
    }
    _read(there, project, _NOT_TAKEN)


def _sources(settings: Settings) -> dict[str, Secret]:
    return {path: rule.users for path, rule in settings.web.paths.items() if rule.users is not None}


def _read(sources: Mapping[str, Secret], project: Path, taken: Taken) -> dict[str, Hidden]:
    texts = resolve_each({_key(path): one for path, one in sources.items()}, project, taken)
    unread = [one.message for one in texts.values() if isinstance(one, UsageError)]
    if unread:
        raise UsageError("secret", first_of(unread), detail="\n".join(unread))
    found: dict[str, Hidden] = {}
    wrong: list[str] = []
    for path, source in sources.items():
        text = texts[_key(path)]
        assert isinstance(text, Hidden)  # noqa: S101 - the others were raised
        try:
            lines = password_file.users_of(text.reveal())
        except ValueError as error:
            wrong += _placed(path, source, str(error))
        else:
            found[path] = Hidden("".join(f"{line}\n" for line in lines))
    if wrong:
        raise UsageError("bad-users", first_of(wrong), detail="\n".join(wrong))
    return found


def _key(path: str) -> str:
    return dotted(("web", "paths", path, "users"))


def _placed(path: str, source: Secret, mistakes: str) -> Iterator[str]:
    where = source.file or "line "
    for one in mistakes.splitlines():
        yield f"{_key(path)}: {where}{':' if source.file else ''}{one}"
