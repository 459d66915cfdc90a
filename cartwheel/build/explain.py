"""Makes one clear line from the output of uv or pip on the operator's machine."""

from __future__ import annotations

from cartwheel.build.index import Access
from cartwheel.build.tool import Finished
from cartwheel.errors import BuildError
from cartwheel.host.release.pip_output import classify_pip_output, without_credentials
from cartwheel.host.release.uv_output import classify_uv_output, first_error


def explain_uv(done: Finished, access: Access, wanted: str = "") -> BuildError:
    """The error for uv's output. `wanted` is the requested package, if it is only one."""
    text = _scrub(done.log + done.output, access)
    detail = _scrub(done.tail(), access)
    slug, message = classify_uv_output(text, access.name) or ("build-failed", first_error(text))
    if wanted and wanted.split("==", maxsplit=1)[0] not in message:
        message = f"{message} (wanted: {wanted})"
    return BuildError(slug, message, detail=detail)


def explain_pip(done: Finished, access: Access, wanted: str = "") -> BuildError:
    """The error for pip's output."""
    text = _scrub(done.output + "\n" + done.log, access)
    found = classify_pip_output(text)
    if found is None:
        return BuildError(
            "build-failed", f"{wanted}: pip failed", detail=_scrub(done.tail(), access)
        )
    slug, message = found
    return BuildError(slug, message, detail=_scrub(done.tail(), access))


def explain_build(done: Finished, access: Access, what: str) -> BuildError:
    """The error for `uv build`: of its index, or else of the application's build back end."""
    text = _scrub(done.log + done.output, access)
    found = classify_uv_output(text, access.name)
    if found is not None:
        return BuildError(
            found[0], f"building {what}: {found[1]}", detail=_scrub(done.tail(), access)
        )
    return BuildError(
        "build-failed", f"building {what}: {first_error(text)}", detail=_scrub(done.tail(), access)
    )


def _scrub(text: str, access: Access) -> str:
    for secret in access.secrets:
        text = text.replace(secret, "****")
    return without_credentials(text)
