"""Makes one clear line from the output of uv or pip on the operator's machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from cartwheel.build.index import Access
from cartwheel.build.origins import normal
from cartwheel.errors import BuildError
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
_RAISED = re.compile(r"^ *[\w.]+(?:Error|Exception|Exit): (.+)$", re.MULTILINE)
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
)
_NO_WHEEL = "wheel-platform"
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


def explain_build(done: Ended, access: Access, what: str) -> BuildError:
    """The error for `uv build`: of its index, or else of the application's build back end."""
    slug, message = _of_uv(done, access)
    raised = _RAISED.findall(_scrub(done.errors_text, access))
    if _ITS_OWN in message and raised:
        message = raised[-1].strip()
    error = _error(slug, f"building {what}: {message}", done, access)
    hint = next((hint for said, hint in _HINTS if said in f"{error.message}{error.detail}"), "")
    return BuildError(slug, error.message, hint=hint, detail=error.detail)


def explain_pip(done: Ended, access: Access, wanted: str) -> BuildError:
    """The error for pip's output."""
    text = _scrub(f"{done.output_text}\n{done.errors_text}", access)
    slug, message = classify_pip_output(text) or ("build-failed", f"{wanted}: pip failed")
    return _error(slug, message, done, access)


def _of_uv(done: Ended, access: Access) -> tuple[str, str]:
    text = _scrub(done.errors_text + done.output_text, access)
    return classify_uv_output(text, access.name) or ("build-failed", first_error(text))


def _error(slug: str, message: str, done: Ended, access: Access) -> BuildError:
    return BuildError(slug, message, detail=_scrub(done.tail(), access))


def _scrub(text: str, access: Access) -> str:
    for secret in access.secrets:
        text = text.replace(secret, "****")
    return without_credentials(text)
