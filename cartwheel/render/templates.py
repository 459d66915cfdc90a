"""Jinja2, strict: an undefined name is an error with template and line."""

from __future__ import annotations

import difflib
import functools
import re
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cartwheel.errors import UsageError
from cartwheel.hidden import Hidden
from cartwheel.host.web import kinds
from cartwheel.places import own
from cartwheel.settings.project_files import files_of

from .door import size_bytes

if TYPE_CHECKING:
    from jinja2 import Environment

_UNDEFINED = re.compile(r"^'(\w+)' is undefined$")
_NO_ATTRIBUTE = re.compile(r"^'(?:[\w.]+\.)?(\w+) object' has no attribute '(\w+)'$")


class Templates:
    """The project's own templates, then the built-in templates with the same names.

    A template of the project may extend or include the built-in one as `cartwheel/NAME`.
    """

    def __init__(self, project: Path) -> None:
        self._project = project
        self._folders = _folders(project)
        self._environment = _environment(project)

    # Any, here and below: the names of a template have values of all kinds.
    def render(self, name: str, values: Mapping[str, Any]) -> str:
        """One template's text. Raises UsageError("template") in one line."""
        from jinja2 import TemplateNotFound, TemplateSyntaxError, UndefinedError

        try:
            return self._environment.get_template(name).render(values)
        except TemplateSyntaxError as error:
            place = f"{self._shown(error.filename or error.name or name)}:{error.lineno}"
            message = error.message or "syntax error"
        except TemplateNotFound as error:
            place = self._place(error, name)
            message = f"there is no template {error.message or error.name}"
        except UndefinedError as error:
            place = self._place(error, name)
            message = _undefined(error.message or "a name is undefined", values)
        except Exception as error:  # a template may fail in any way, and the user can fix it
            place = self._place(error, name)
            message = f"{type(error).__name__}: {error}"
        raise UsageError("template", f"{place}: {message.splitlines()[0]}")

    def _place(self, error: BaseException, name: str) -> str:
        """The template and line of an error, which Jinja2 puts into the traceback."""
        folders = tuple(f"{folder}/" for folder in self._folders)
        lines = [
            f"{self._shown(frame.filename)}:{frame.lineno}"
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename.startswith(folders)
        ]
        return lines[-1] if lines else name

    def _shown(self, file: str) -> str:
        path = Path(file)
        return str(path.relative_to(self._project)) if path.is_relative_to(self._project) else file


class FileTemplates(Templates):
    """Templates of the application's own files, relative to the project."""

    def __init__(self, project: Path) -> None:
        from jinja2 import FileSystemLoader

        super().__init__(project)
        self._folders = [project]
        self._environment = self._environment.overlay(loader=FileSystemLoader(project))


def _undefined(message: str, values: Mapping[str, Any]) -> str:
    """Jinja2's message with the nearest known name."""
    if found := _UNDEFINED.match(message):
        known = list(values)
        name = found.group(1)
    elif found := _NO_ATTRIBUTE.match(message):
        table, name = found.groups()
        message = f"{table} has no {name!r}"
        known = _attributes(table, values)
    else:
        return message
    close = difflib.get_close_matches(name, known, 1)
    return f"{message}; did you mean {close[0]}?" if close else message


def _attributes(kind: str, values: Mapping[str, Any]) -> list[str]:
    """The fields of the value, or of the table of settings, whose class is `kind`."""
    held = [*values.values(), *vars(values["settings"]).values()] if "settings" in values else []
    return [name for one in held if type(one).__name__ == kind for name in vars(one)]


def _folders(project: Path) -> list[Path]:
    folders = (project / files_of(project).templates, own("templates"))
    return [folder for folder in folders if folder.is_dir()]


@functools.cache
def _environment(project: Path) -> Environment:
    """One environment per project, because compiling templates takes longer than rendering."""
    from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - configuration files, not web pages
        loader=ChoiceLoader(
            [
                FileSystemLoader(_folders(project)),
                PrefixLoader({"cartwheel": FileSystemLoader(own("templates"))}),
            ]
        ),
        undefined=StrictUndefined,
        finalize=_not_hidden,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(python=python_literal, systemd=systemd_word)
    environment.filters.update(regex=re.escape, bytes=size_bytes)
    environment.filters.update({kind.name: kind.word for kind in kinds.KINDS})
    return environment


def _not_hidden(value: object) -> object:
    """Refuse secrets: users other than the app's may read the rendered files."""
    if isinstance(value, Hidden):
        raise ValueError("a secret is not allowed here")
    return value


def python_literal(value: object) -> str:
    """A value as Python source."""
    return ascii(value)


def systemd_word(value: str) -> str:
    """One word of a systemd unit: quoted, without specifiers (systemd.syntax(7))."""
    if "\n" in value:
        raise ValueError("a line break is not allowed in a unit")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
