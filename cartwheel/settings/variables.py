"""The app's environment variables and all secrets: reads them from their sources."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from cartwheel import process_env, programs
from cartwheel.background import side_by_side
from cartwheel.errors import UsageError, first_of
from cartwheel.hidden import Hidden

if TYPE_CHECKING:
    from cartwheel.settings.toml_tables import Secret, Settings

COMMAND_SECONDS = 30.0
SECRET_BYTES = 1 << 20
_AT_ONCE = 8  # password managers take about a second each
# Linux takes at most 32 pages for one NAME=VALUE of a new program (execve(2)).
_VARIABLE_BYTES = 128 * 1024 - 1


Taken: TypeAlias = Mapping[str, Hidden]
"""Variables that were removed from this process's environment."""
_NOT_TAKEN: Taken = {}


@dataclass(frozen=True)
class Variable:
    """One environment variable of the app. `source` never contains its value."""

    name: str
    value: Hidden
    source: str
    secret: bool


def take_from_environment(secrets: Iterable[Secret]) -> Taken:
    """Remove the variables of these secrets from this process's environment, so that no program
    that it starts inherits them."""
    named = {secret.env for secret in secrets if secret.env is not None}
    here = {name: os.environ.pop(name) for name in named if name in os.environ}
    return {name: Hidden(value) for name, value in here.items()}


def environment(
    settings: Settings, project: Path, taken: Taken = _NOT_TAKEN
) -> dict[str, Variable]:
    """Every environment variable of the app, by name, sorted.

    `taken` are the variables that were removed from this process's own environment. A name in
    [env] or [secrets] wins over the same name in the dotenv file. Secrets are read in parallel.
    Raises UsageError("settings") for the dotenv file and UsageError("secret") for secrets; its
    detail lists all that failed.
    """
    found = {variable.name: variable for variable in dotenv(settings, project)}
    for name, value in settings.env.items():
        found[name] = Variable(name, Hidden(value), "settings", secret=False)
    for variable in _secrets(settings, project, taken):
        found[variable.name] = variable
    _must_be_possible(found)
    return dict(sorted(found.items()))


def resolve_secret(
    secret: Secret, project: Path, name: str = "secret", taken: Taken = _NOT_TAKEN
) -> Hidden:
    """The value of a secret; one trailing newline is removed.

    `name` is the setting, for errors. A command is run by `sh -c` in the project's folder,
    without input or terminal, for at most 30 s; its standard error is discarded. Raises
    UsageError("secret"), which contains neither the value nor the command's text or output.
    """
    if secret.file is not None:
        raw = _from_file(project / Path(secret.file).expanduser(), name)
    elif secret.command is not None:
        raw = _from_command(secret.command, project, name)
    else:
        raw = _from_variable(secret.env or "", name, taken)
    return Hidden(_text(raw, name))


def source_of(secret: Secret) -> str:
    """The source of a secret as text. A command's text may itself be secret."""
    if secret.file is not None:
        return f"secret file {secret.file}"
    if secret.command is not None:
        return "secret command"
    return f"secret env {secret.env}"


def resolve_each(
    secrets: Mapping[str, Secret], project: Path, taken: Taken = _NOT_TAKEN
) -> dict[str, Hidden | UsageError]:
    """Each secret by its setting, or why it cannot be read; they are read in parallel."""

    def resolved(name: str) -> Hidden | UsageError:
        try:
            return resolve_secret(secrets[name], project, name, taken)
        except UsageError as error:
            return error

    return side_by_side(resolved, secrets, _AT_ONCE)


def _secrets(settings: Settings, project: Path, taken: Taken) -> Iterator[Variable]:
    named = {f"secrets.{name}": secret for name, secret in settings.secrets.items()}
    found = resolve_each(named, project, taken)
    errors = [one.message for one in found.values() if isinstance(one, UsageError)]
    if errors:
        _raise_all("secret", errors)
    for name, secret in settings.secrets.items():
        value = found[f"secrets.{name}"]
        if isinstance(value, Hidden):
            yield Variable(name, value, source_of(secret), secret=True)


def _raise_all(slug: str, lines: list[str]) -> None:
    raise UsageError(slug, first_of(lines), detail="\n".join(lines))


def _from_file(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as handle:
            raw = handle.read(SECRET_BYTES + 1)
    except OSError as error:
        raise UsageError("secret", f"{name}: {path}: {error.strerror}") from None
    if len(raw) > SECRET_BYTES:
        raise UsageError("secret", f"{name}: {path} holds more than {SECRET_BYTES} bytes")
    if not raw.strip():
        raise UsageError("secret", f"{name}: {path} is empty")
    return raw


def _from_variable(variable: str, name: str, taken: Taken) -> bytes:
    value = taken[variable].reveal() if variable in taken else os.environ.get(variable)
    if value is None:
        raise UsageError("secret", f"{name}: the variable {variable} is not set here")
    if not value.strip():
        raise UsageError("secret", f"{name}: the variable {variable} is empty here")
    return os.fsencode(value)


def _from_command(command: str, project: Path, name: str) -> bytes:
    try:
        ended = programs.run(
            ["sh", "-c", command],
            env=process_env.of_user(),
            cwd=project,
            deadline_seconds=COMMAND_SECONDS,
            errors="dropped",
            most_bytes=SECRET_BYTES,
        )
    except programs.LateError:
        raise UsageError(
            "secret", f"{name}: the command did not end within {COMMAND_SECONDS:.0f} s"
        ) from None
    except programs.TooMuchError:
        raise UsageError(
            "secret", f"{name}: the command printed more than {SECRET_BYTES} bytes"
        ) from None
    if ended.status != 0:
        raise UsageError(
            "secret",
            f"{name}: the command {ended.how}",
            hint="Run it by hand in the project's folder to see why; its output is not shown here.",
        )
    if not ended.output.strip():
        raise UsageError("secret", f"{name}: the command printed nothing")
    return ended.output


def _text(raw: bytes, name: str) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise UsageError("secret", f"{name}: the value is not UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r")


def dotenv(settings: Settings, project: Path) -> Iterator[Variable]:
    """The variables of the dotenv file, in which `$` has no special meaning. Raises
    UsageError("settings") with file and line; its detail lists all wrong lines."""
    if settings.env_file is None:
        return
    from dotenv.parser import parse_stream

    path = project / Path(settings.env_file).expanduser()
    try:
        with path.open(encoding="utf-8-sig") as handle:
            bindings = list(parse_stream(handle))
    except OSError as error:
        raise UsageError("settings", f"env_file: {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError("settings", f"env_file: {path} is not UTF-8 text") from None
    wrong: list[str] = []
    for binding in bindings:
        place = f"{settings.env_file}:{binding.original.line}"
        if binding.error or (binding.key is not None and binding.value is None):
            wrong.append(f"{place}: expected NAME=VALUE")
        elif binding.key is not None and binding.value is not None:
            problem = _problem_of(binding.key, settings)
            if problem:
                wrong.append(f"{place}: {problem}")
            yield Variable(
                binding.key, Hidden(binding.value), f"dotenv file {settings.env_file}", True
            )
    if wrong:
        _raise_all("settings", wrong)


def _problem_of(name: str, settings: Settings) -> str:
    from cartwheel.host.wire.manifest import STATIC_ROOT

    from .checks import RESERVED_PREFIX, RESERVED_VARIABLES, VARIABLE
    from .served import STATIC_ROOT_TAKEN, maker

    if not VARIABLE.match(name):
        return "expected a name of letters, digits and `_`"
    if name in RESERVED_VARIABLES or name.startswith(RESERVED_PREFIX):
        return f"{name} is reserved"
    if name == STATIC_ROOT and maker(settings) is not None:
        return f"{name} {STATIC_ROOT_TAKEN}"
    return ""


def _must_be_possible(found: dict[str, Variable]) -> None:
    """Refuse, before connecting, variables that a host could not pass to the app."""
    from cartwheel.host.system import envfile

    lines: list[str] = []
    for variable in found.values():
        size = len(variable.name.encode()) + len("=") + len(variable.value.reveal().encode()) + 1
        problem = envfile.problem(variable.value.reveal())
        if size > _VARIABLE_BYTES:
            problem = "the value is longer than Linux allows"
        if problem:
            lines.append(f"{variable.name} ({variable.source}): {problem}")
    if lines:
        _raise_all("settings", lines)
