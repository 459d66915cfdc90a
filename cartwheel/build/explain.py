"""Makes one clear line of what uv or pip said on the operator's machine."""

from __future__ import annotations

import re

from cartwheel.build.index import Access
from cartwheel.build.tool import Finished
from cartwheel.errors import BuildError
from cartwheel.host.release.pip_output import classify_pip_output, without_credentials

_FETCH = re.compile(r"Failed to fetch: `?(\S+?)`?$", re.MULTILINE)
_FETCH_STATUS = re.compile(r"HTTP status (?:client|server) error \((\d{3} [^)]*)\)")
_NETWORK = re.compile(
    r"error sending request|Connection refused|operation timed out|dns error|Failed to fetch|connection closed|tcp connect error",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?:index URL|index) \((\S+?)\) (?:could not be queried.*?\((\d{3} [^)]*)\)|returned a (\d{3} \w+))",
    re.DOTALL,
)
_NOT_FOUND = re.compile(
    r"Because (\S+) was not found in the (?:package registry|provided package locations)"
)
_NO_VERSION = re.compile(r"Because there (?:is no version of|are no versions of) (\S+)")
_ONLY = re.compile(
    r"Because only (.+?) (?:is|are) available and (?:\S+ depends on|you require) (\S+?),? "
)
_MISMATCH = re.compile(r"Hash mismatch for [`']?([^`'\s]+)[`']?")


def explain_uv(done: Finished, access: Access, wanted: str = "") -> BuildError:
    """The error that uv's output stands for. `wanted` is what was looked for, if it is one thing."""
    text = _scrub(done.log + done.output, access)
    detail = _scrub(done.tail(), access)
    slug, message = classify_uv_output(text, access.name) or ("build-failed", _first_error(text))
    if wanted and wanted.split("==", maxsplit=1)[0] not in message:
        message = f"{message} (wanted: {wanted})"
    return BuildError(slug, message, detail=detail)


def explain_pip(done: Finished, access: Access, wanted: str = "") -> BuildError:
    """The error that pip's output stands for."""
    text = _scrub(done.output + "\n" + done.log, access)
    found = classify_pip_output(text)
    if found is None:
        return BuildError(
            "build-failed", f"{wanted}: pip failed", detail=_scrub(done.tail(), access)
        )
    slug, message = found
    return BuildError(slug, message, detail=_scrub(done.tail(), access))


def explain_build(done: Finished, access: Access, what: str) -> BuildError:
    """The error of `uv build`: its index, or else the application's own build back end."""
    text = _scrub(done.log + done.output, access)
    found = classify_uv_output(text, access.name)
    if found is not None:
        return BuildError(
            found[0], f"building {what}: {found[1]}", detail=_scrub(done.tail(), access)
        )
    return BuildError(
        "build-failed", f"building {what}: {_first_error(text)}", detail=_scrub(done.tail(), access)
    )


def classify_uv_output(text: str, mirror: str) -> tuple[str, str] | None:
    """(slug, one line) for uv's output; `mirror` names the index where uv does not."""
    found = _MISMATCH.search(text)
    if found:
        return "hash-mismatch", f"{found[1]} from {mirror} is not the one that was locked"
    denied = _DENIED.search(text)
    missing = _NOT_FOUND.search(text)
    if denied and missing:
        status = denied[2] or denied[3]
        return "index-unreachable", f"{denied[1]} answers {status} for {missing[1]}"
    if missing:
        return "index-lacks", f"{mirror} has no {missing[1]}"
    fetch = _FETCH.search(text)
    if fetch and _NETWORK.search(text):
        status_found = _FETCH_STATUS.search(text)
        why = f"answers {status_found[1]}" if status_found else f"does not answer ({_why(text)})"
        return "index-unreachable", f"{_place(fetch[1], mirror)} {why} for {_package(fetch[1])}"
    if "No solution found" in text:
        return _unsatisfiable(text, mirror)
    return None


def _unsatisfiable(text: str, mirror: str) -> tuple[str, str]:
    because = " ".join(
        line.strip().removeprefix("cause:").removeprefix("╰─▶").strip()
        for line in text[text.index("No solution found") :].splitlines()[1:]
        if line.strip() and not line.strip().startswith("hint:")
    )
    # One requirement that nothing fits is the mirror's gap; two that clash are a conflict.
    if because.count("depends on") <= 1:
        absent = _NO_VERSION.match(because)
        if absent:
            return "index-lacks", f"{mirror} has no {absent[1]}"
        only = _ONLY.match(because)
        if only:
            return "index-lacks", f"{mirror} has no {only[2]} (it has {only[1]})"
    return "lock-conflict", because or "the requirements contradict each other"


def _place(url: str, mirror: str) -> str:
    # Name the index as the settings do when the failing address is below it.
    if mirror and url.startswith(mirror.rstrip("/")):
        return mirror
    found = re.match(r"(.*?/simple)/", url)
    return without_credentials(found[1] if found else url)


def _package(url: str) -> str:
    found = re.search(r"/([^/]+)/?$", url)
    return found[1] if found else url


def _why(text: str) -> str:
    for sign, plain in (
        ("Connection refused", "connection refused"),
        ("failed to lookup address", "its name is not known"),
        ("dns error", "its name is not known"),
        ("timed out", "timed out"),
        ("certificate", "its certificate is not trusted"),
        ("Connection reset", "it closes the connection"),
        ("connection closed", "it closes the connection"),
        ("unreachable", "network unreachable"),
    ):
        if sign in text:
            return plain
    return "network error"


def _first_error(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        if line.startswith(("error:", "× ", "ERROR")):
            rest = lines[lines.index(line) + 1 :][:1]
            head = line.removeprefix("error:").removeprefix("×").strip()
            return (
                f"{head} ({rest[0].removeprefix('cause:').removeprefix('╰─▶').strip()})"
                if rest
                else head
            )
    return lines[-1] if lines else "no output"


def _scrub(text: str, access: Access) -> str:
    for secret in access.secrets:
        text = text.replace(secret, "****")
    return without_credentials(text)
