"""Interpret pip's output. Pure, standard library only: used here and on hosts.

The lines are those of pip 20.3 to 26 (messages of its resolver and its network code).
"""

from __future__ import annotations

import re
from typing import Optional, Tuple

_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_INDEXES = re.compile(r"^Looking in indexes: (.+)$", re.MULTILINE)
_LACKS = re.compile(
    r"^(?:ERROR: )?Could not find a version that satisfies the requirement (.+?)"
    r" \(from versions: ([^)]*)\)",
    re.MULTILINE,
)
_NO_MATCH = re.compile(
    r"^(?:ERROR: )?No matching distribution found for (.+?)(?: \(from .*)?$", re.MULTILINE
)
_BROKEN = re.compile(r"Retrying \(.*after connection broken by '?(.*?)'?: (/\S*)", re.DOTALL)
_NETWORK = re.compile(
    r"(?:Max retries exceeded with url: (\S+)|"
    r"(?:Connection to|Connection timed out while downloading|Failed to connect to) (\S+)|"
    r"(?:ReadTimeoutError|ConnectTimeoutError|NewConnectionError|SSLError|ProxyError|"
    r"NameResolutionError)|"
    r"There was a problem confirming the ssl certificate|Could not fetch URL (\S+):)"
)
_HTTP = re.compile(
    r"(?:HTTP error|HTTPError:|ERROR: HTTP error)\s*:?\s*(\d{3})|(\d{3}) (?:Client|Server) Error:|"
    r"WARNING: (\d{3}) Error, Credentials not correct for (\S+)"
)
_REFUSED = re.compile(r"Could not fetch URL (\S+): (?!404)(\d{3}) (?:Client|Server) Error")
_CONFLICT = re.compile(
    r"^(?:ERROR: )?Cannot install (.+?) because these package versions have conflicting",
    re.MULTILINE,
)
_CAUSE = re.compile(r"The conflict is caused by:\n((?: {4}.+\n?)+)")
_HASH = re.compile(r"THESE PACKAGES DO NOT MATCH THE HASHES.*?\n\s+(.+?) from (\S+)", re.DOTALL)
_HASH_MISSING = re.compile(
    r"Hashes are required in --require-hashes mode, but they are missing.*?\n\s+(\S+)", re.DOTALL
)
_PYTHON = re.compile(r"Package '?([^'\s]+)'? requires a different Python: (\S+) not in '([^']+)'")
_PLATFORM = re.compile(
    r"^(?:ERROR: )?(\S+\.whl) is not a supported wheel on this platform", re.MULTILINE
)
_CORRUPT = re.compile(
    r"(?:Wheel '?([^'\s]+)'? located at \S+ is invalid"
    r"|^(?:ERROR: )?(?:.*: )?(\S+\.whl) (?:has an invalid wheel|is invalid)"
    r"|BadZipFile|has an invalid wheel)",
    re.MULTILINE,
)
_CRASH = re.compile(r"^ERROR: Exception:\nTraceback .*\n(\S.*)\s*$", re.MULTILINE | re.DOTALL)
_SPACE = re.compile(r"No space left on device|\[Errno 28\]")


def says_full(text: str) -> bool:
    """Whether the disk had no room left (space or inodes)."""
    return bool(_SPACE.search(text))


def without_crash(text: str) -> str:
    """`text` with a traceback of pip itself cut to its last line; the output of programs that pip
    runs, such as an app's own build, stays."""
    return _CRASH.sub(lambda found: "ERROR: " + found[1].splitlines()[0], text)


def without_credentials(text: str) -> str:
    """`text` without the user names and passwords in its addresses."""
    return _CREDENTIALS.sub("", text)


def classify_pip_output(text: str) -> Optional[Tuple[str, str]]:
    """(slug of the error catalogue, one line that names mirror and package), or None.

    Credentials never appear in the line. None means that pip failed for a reason that
    is not about packages or indexes: show its output.
    """
    text = text.replace("\r\n", "\n")
    index = _index(text)
    found = _about_package(text, index) or _about_index(text, index)
    return None if found is None else (found[0], without_credentials(found[1]))


def refusal(verbose: str) -> Optional[Tuple[str, str]]:
    """The same for the output of `pip -vv`: only there an index that refuses (401, 403, 5xx)
    differs from one that lacks the package."""
    found = _REFUSED.search(verbose)
    if not found:
        return None
    line = f"{_index(verbose)} answers {found[2]}{_for(_package(found[1]))}"
    return "index-unreachable", without_credentials(line)


def _about_package(text: str, index: str) -> Optional[Tuple[str, str]]:  # noqa: PLR0911 - a table
    if found := _HASH.search(text):
        package, mirror = found[1].split(" (from")[0], _mirror(found[2], index)
        return "hash-mismatch", f"{package} from {mirror} differs from the lock"
    if found := _HASH_MISSING.search(text):
        return "hash-mismatch", f"{found[1]} is needed but not in the lock"
    if found := _CONFLICT.search(text):
        cause = _CAUSE.search(text)
        lines = cause[1].splitlines() if cause else [found[1]]
        return "lock-conflict", "; ".join(line.strip() for line in lines)
    if found := _PYTHON.search(text):
        return "lock-conflict", f"{found[1]} needs Python {found[3]}; this is {found[2]}"
    if found := _PLATFORM.search(text):
        return "wheel-platform", f"{found[1]} is for another platform"
    if found := _CORRUPT.search(text):
        return "wheel-corrupt", f"{found[1] or found[2] or 'a wheel'} is damaged"
    return None


def _about_index(text: str, index: str) -> Optional[Tuple[str, str]]:
    lacks, other = _LACKS.search(text), _NO_MATCH.search(text)
    wanted = lacks[1].split(" (from")[0].strip() if lacks else other[1].strip() if other else ""
    known = lacks[2].strip() if lacks else ""
    if known and known != "none":
        return "index-lacks", f"{index} has no {wanted} (it has {_few(known)})"
    if found := _HTTP.search(text):
        code = found[1] or found[2] or found[3]
        return "index-unreachable", f"{index} answers {code}{_for(wanted)}"
    if found := _BROKEN.search(text):
        package = _for(wanted or _package(found[2]))
        return "index-unreachable", f"{index} does not answer{package} ({_why(found[1])})"
    if _NETWORK.search(text):
        return "index-unreachable", f"{index} does not answer{_for(wanted)}"
    return ("index-lacks", f"{index} has no {wanted}") if wanted else None


def _index(text: str) -> str:
    found = _INDEXES.search(text)
    if not found:
        return "the default package index"
    names = dict.fromkeys(without_credentials(name.strip()) for name in found[1].split(","))
    return ", ".join(names)


def _mirror(url: str, index: str) -> str:
    return url.split("#", maxsplit=1)[0] if "://" in url else index


def _package(path: str) -> str:
    parts = [part for part in path.split("?", maxsplit=1)[0].split("/") if part]
    return parts[-1] if parts else ""


def _for(package: str) -> str:
    return f" for {package}" if package else ""


def _few(versions: str) -> str:
    names = [name.strip() for name in versions.split(",")]
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} versions, the newest {names[-1]}"


def _why(text: str) -> str:
    for sign, plain in (
        ("Name or service not known", "its name cannot be resolved"),
        ("getaddrinfo", "its name cannot be resolved"),
        ("Temporary failure in name resolution", "its name cannot be resolved"),
        ("Connection refused", "connection refused"),
        ("timed out", "timed out"),
        ("Read timed out", "timed out"),
        ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted"),
        ("SSL", "TLS failed"),
        ("Remote end closed", "it closed the connection"),
        ("unreachable", "network unreachable"),
    ):
        if sign in text:
            return plain
    return text.strip().splitlines()[0][:120]
