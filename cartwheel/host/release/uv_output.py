"""Interpret uv's output. Pure, standard library only: used here and on hosts."""

from __future__ import annotations

import re
from typing import Optional, Tuple

from cartwheel.host.release.pip_output import says_full, without_credentials

_FETCH = re.compile(r"Failed to fetch: `?(\S+?)`?$", re.MULTILINE)
_FETCH_STATUS = re.compile(r"HTTP status (?:client|server) error \((\d{3} [^)]*)\)")
_NETWORK = re.compile(
    r"error sending request|Connection refused|operation timed out|dns error"
    r"|Failed to fetch|connection closed|tcp connect error",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?:index URL|index) \((\S+?)\) "
    r"(?:could not be queried.*?\((\d{3} [^)]*)\)|returned a (\d{3} \w+))",
    re.DOTALL,
)
_NOT_FOUND = re.compile(
    r"Because (\S+) was not found in the (?:package registry|provided package locations)"
)
_NO_VERSION = re.compile(r"Because there (?:is no version of|are no versions of) (\S+)")
_ONLY = re.compile(
    r"Because only (.+?) (?:is|are) available and (?:\S+ depends on|you require) (\S+?),? "
)
_MISMATCH = re.compile(r"Hash mismatch for [`']?([^`'\s]+)")
_PLATFORM = re.compile(r"Because (\S+) has no (?:usable wheels|wheels with a matching ([^()]+))")
_CORRUPT = re.compile(
    r"Failed to extract archive: (\S+)|Because (\S+) has an invalid package format"
)
# `uv pip check`: one line for each.
_INCOMPATIBLE = re.compile(r"^The package `.*$", re.MULTILINE)


def classify_uv_output(text: str, mirror: str) -> Optional[Tuple[str, str]]:
    """(slug of the error catalogue, one line) for uv's output, or None if it failed for a reason
    other than packages and indexes. `mirror` names the index if uv does not."""
    about_package = _about_package(text, mirror)
    if about_package is not None:
        return about_package
    denied, missing = _DENIED.search(text), _NOT_FOUND.search(text)
    if denied and missing:
        index, status = without_credentials(denied[1]), denied[2] or denied[3]
        return "index-unreachable", f"{index} answers {status} for {missing[1]}"
    if missing:
        return "index-lacks", f"{mirror} has no {missing[1]}"
    fetch = _FETCH.search(text)
    if fetch and _NETWORK.search(text):
        status_found = _FETCH_STATUS.search(text)
        why = f"answers {status_found[1]}" if status_found else f"does not answer ({_why(text)})"
        where = _place(fetch[1], mirror)
        return "index-unreachable", f"{where} {why} for {_package(fetch[1])}"
    return _unsatisfiable(text, mirror) if "No solution found" in text else None


def _about_package(text: str, mirror: str) -> Optional[Tuple[str, str]]:
    if found := _MISMATCH.search(text):
        return "hash-mismatch", f"{found[1]} from {mirror} differs from the lock"
    if found := _PLATFORM.search(text):
        why = f" (another {found[2].strip()})" if found[2] else ""
        return "wheel-platform", f"{mirror} has no wheel of {found[1]} that fits{why}"
    found = _CORRUPT.search(text)
    if found and not says_full(text):
        return "wheel-corrupt", f"{found[1] or found[2]} is damaged"
    return None


def _unsatisfiable(text: str, mirror: str) -> Tuple[str, str]:
    because = " ".join(
        line.strip().removeprefix("cause:").removeprefix("╰─▶").strip()
        for line in text[text.index("No solution found") :].splitlines()[1:]
        if line.strip() and not line.strip().startswith("hint:")
    )
    # One requirement that nothing fits is the mirror's gap; two that clash are a conflict.
    if because.count("depends on") <= 1:
        if absent := _NO_VERSION.match(because):
            return "index-lacks", f"{mirror} has no {absent[1]}"
        if only := _ONLY.match(because):
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
        ("failed to lookup address", "its name cannot be resolved"),
        ("dns error", "its name cannot be resolved"),
        ("timed out", "timed out"),
        ("certificate", "its certificate is not trusted"),
        ("Connection reset", "it closed the connection"),
        ("connection closed", "it closed the connection"),
        ("unreachable", "network unreachable"),
    ):
        if sign in text:
            return plain
    return "network error"


def first_error(text: str) -> str:
    """The error itself: progress comes before it, its cause in brackets, hints after it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        if line.startswith(("error:", "× ", "ERROR")):
            rest = lines[lines.index(line) + 1 :][:1]
            head = line.removeprefix("error:").removeprefix("×").strip()
            if not rest:
                return head
            cause = rest[0].removeprefix("cause:").removeprefix("╰─▶").strip()
            return f"{head} ({cause})"
    return lines[-1] if lines else "no output"


def incompatible(text: str) -> str:
    """What `uv pip check` found, in one line; "" if it found nothing."""
    found = [
        line.replace("The package ", "", 1).replace("`", "") for line in _INCOMPATIBLE.findall(text)
    ]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return found[0] + more if found else ""
