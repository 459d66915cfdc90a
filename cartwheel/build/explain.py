"""Makes one clear line from the output of uv or pip on the operator's machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from cartwheel.build.index import Access
from cartwheel.build.origins import TomlFile, normal, pyproject
from cartwheel.build.refused_line import refused_line, requirement_lines
from cartwheel.errors import BuildError
from cartwheel.host.release.build_advice import missing
from cartwheel.host.release.pip_output import classify_pip_output, without_credentials
from cartwheel.host.release.uv_output import classify_uv_output, first_error
from cartwheel.programs import Ended


def explain_uv(done: Ended, access: Access, wanted: str = "") -> BuildError:
    """The error for uv's output. `wanted` is the requested package, if it is only one."""
    slug, message = _of_uv(done, access)
    if wanted and wanted.split("==", maxsplit=1)[0] not in message:
        message = f"{message} (wanted: {wanted})"
    return _error(slug, message, done, access)


_ITS_OWN = "The build backend returned an error"
_TRACEBACK = "Traceback (most recent call last)"
_RAISED = re.compile(r"^ *(?:\w+\.)*[A-Z]\w+: (.+?)(?=^error: |\Z)", re.MULTILINE | re.DOTALL)
# uv's own refusal of a pyproject.toml: the line, its text, a pointer, and the reason.
_TOML = re.compile(r"TOML parse error at line (\d+).*\n.*\n\s*\d+ \| (.*)\n(?:[\s|]*\^+\n)?\s*(.+)")
_AS_IT_IS = "if it is no package, {} in pyproject.toml deploys the folder as it is."
# Messages of back ends that do not find the package of a project.
_HINTS = (
    (
        "No file/folder found for package",
        f"Name it in [tool.poetry] packages; {_AS_IT_IS.format('package-mode = false')}",
    ),
    (
        "Unable to determine which files to ship",
        "Name it in [tool.hatch.build.targets.wheel] packages; "
        + _AS_IT_IS.format("[tool.uv] package = false"),
    ),
    (
        "discovered in a flat-layout",
        f"Name it in [tool.setuptools] packages; {_AS_IT_IS.format('[tool.uv] package = false')}",
    ),
    (
        "Expected a Python module at",
        f"Name it in [tool.uv.build-backend]; {_AS_IT_IS.format('[tool.uv] package = false')}",
    ),
    (
        "No module named",
        "A build sees only what build-system.requires in pyproject.toml names.",
    ),
)
_FAILED, _NO_WHEEL = "build-failed", "wheel-platform"
_WINDOWS = re.compile(r"pywin32|pypiwin32|pywinpty|windows-curses|win32|pythonnet|wmi")


def with_place(error: BuildError, places: Mapping[str, str]) -> BuildError:
    """The error with FILE:LINE of its requirement, and the way to fix it."""
    name = next((word for word in _words(error.message) if word in places), "")
    if not name:
        return error
    where = places[name]
    hint = error.hint
    if error.slug == _NO_WHEEL or _WINDOWS.match(name):
        delete = f"Delete this line, or end it with ` ; sys_platform == 'win32'`: {where}."
        hint = delete if _WINDOWS.match(name) else f"Delete or change this line: {where}."
    return BuildError(error.slug, f"{where}: {error.message}", hint=hint, detail=error.detail)


def _words(message: str) -> Iterator[str]:
    """The normalised names that may be in a message."""
    return (normal(word) for word in re.findall(r"[A-Za-z0-9][\w.-]*[A-Za-z0-9]", message))


def explain_build(done: Ended, access: Access, what: Path, source: Path) -> BuildError:
    """The error for `uv build` of `what`, a copy of `source`: of its index, or else of the
    application's build back end, with the line of pyproject.toml that it refuses."""
    slug, message = _of_uv(done, access)
    message = message.replace(str(what), str(source))
    toml = pyproject(source)
    if slug != _FAILED:
        message = f"building {source.name}: {message}"
        return with_place(_error(slug, message, done, access), requirement_lines(toml))
    text = _scrub(done.errors_text, access).replace(str(what), str(source))
    raised = _RAISED.findall(text.rpartition(_TRACEBACK)[2])
    if _ITS_OWN in message and raised:
        message = raised[-1].strip()
    where, why = _refused(toml, message, text)
    if where:
        return BuildError(slug, f"{where}: {why}", hint=_hint(why) or "Change this line.")
    error = _error(slug, f"building {source.name}: {message.splitlines()[0]}", done, access)
    hint = _hint(f"{message}{error.detail}")
    return BuildError(slug, error.message, hint=hint or error.hint, detail=error.detail)


def _refused(toml: TomlFile, message: str, text: str) -> tuple[str, str]:
    """FILE:LINE in pyproject.toml and the reason, if a value there is refused; else empty."""
    found = _TOML.search(text)
    if found and toml.line(int(found[1])) == found[2]:  # not of a stand-in
        return f"{toml.path}:{found[1]}", found[3]
    return refused_line(toml, message), " ".join(message.replace("^\n", "").split())


def _hint(text: str) -> str:
    return next((hint for said, hint in _HINTS if said in text), "")


def explain_pip(done: Ended, access: Access, wanted: str) -> BuildError:
    """The error for pip's output."""
    text = _scrub(f"{done.output_text}\n{done.errors_text}", access)
    slug, message = classify_pip_output(text) or (_FAILED, f"{wanted}: pip failed")
    return _error(slug, message, done, access)


def _of_uv(done: Ended, access: Access) -> tuple[str, str]:
    text = _scrub(done.errors_text + done.output_text, access)
    return classify_uv_output(text, access.name) or (_FAILED, first_error(text))


def _error(slug: str, message: str, done: Ended, access: Access) -> BuildError:
    what, packages = missing(done.errors_text) if slug == _FAILED else ("", ())
    named = f" ({', '.join(packages)})" if packages else ""
    hint = f"The build needs {what}: install it on this machine{named}." if what else ""
    return BuildError(slug, message, hint=hint, detail=_scrub(done.tail(), access))


def _scrub(text: str, access: Access) -> str:
    for secret in access.secrets:
        text = text.replace(secret, "****")
    return without_credentials(text)
