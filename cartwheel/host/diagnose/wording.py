"""What gunicorn, Python and the frameworks say when something is wrong. Pure."""

from __future__ import annotations

import re
from typing import Optional, Tuple

from cartwheel.host.diagnose.said import Said

# Lines without any of this are only counted.
NOTABLE = re.compile(
    r"Traceback|ERROR|CRITICAL|FATAL|\[(?:error|critical|fatal)|level=\"?(?:error|critical|fatal)"
    r"|\"(?i:error|critical|fatal)\"|\"level\": ?[56]0|WORKER TIMEOUT|Perhaps out of memory"
    r"|was sent SIG|terminated due to signal|exited with code|Handling signal|Shutting down: Master"
    r"|refused|[Tt]imed out|not known|name resolution|Too many|No space|quota|Read-only|denied"
    r"|not permitted|MemoryError|allocate memory|new thread|temporarily unavailable|gone away"
    r"|Failed to find attribute|failed to (?:boot|load)|startup failed|Failed at step"
    r"|is locked|[Dd]eadlock"
    r"|closed the connection|HTTP_HOST|CSRF|CancelledError"
    r"|connection slots|clients already|broker lost|took \d|does not exist"
)
# Python's own message of an error number, and who may have raised it.
_NUMBERED: "Tuple[Tuple[str, re.Pattern[str]], ...]" = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("files", r"Too many open files"),
        (
            "threads",
            r"can't start new thread|BlockingIOError: \[Errno 11\] Resource temporarily unavailable"
            r"|fork(?:\(\))?: (?:retry: )?Resource temporarily unavailable"
            r"|pthread_create failed|unable to start (?:a )?thread",
        ),
        (
            "no-space",
            r"No space left on device|\[Errno 122\]|Disk quota exceeded",
        ),
        ("read-only", r"\[Errno 30\]|Read-only file system"),
        (
            "memory",
            r"\bMemoryError\b|Cannot allocate memory|std::bad_alloc"
            r"|Unable to allocate [\d.]+ [KMGT]iB",
        ),
        (
            "tls",
            r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|certificate has expired"
            r"|SSLCertVerificationError|SSL: WRONG_VERSION_NUMBER|root certificate file",
        ),
        (
            "setting",
            r"ImproperlyConfigured|The SECRET_KEY setting must not be empty"
            r"|UndefinedValueError|(?:environment )?variable ['\"]?\w+['\"]? (?:is )?not set"
            r"|\bValidationError: \d+ validation errors? for \w*[Ss]ettings"
            r"|environs\.exceptions\.|decouple\.UndefinedValueError",
        ),
        (
            "host-refused",
            r"DisallowedHost|Invalid HTTP_HOST header|Origin checking failed"
            r"|Referer checking failed|CSRF (?:token|cookie) (?:missing|not set|from POST)"
            r"|Forbidden \(CSRF",
        ),
        (
            "permission",
            r"PermissionError: \[Errno (?:13|1)\]|\[Errno 13\] Permission denied",
        ),
    )
)
# These are about a path.
ABOUT_FILES = ("no-space", "read-only", "permission")
_ENVIRON = re.compile(r"^KeyError: '([A-Z][A-Z0-9_]*)'$", re.MULTILINE)
_PATH = re.compile(r"(?:denied|device|system|permitted|exceeded|files): b?['\"]([^'\"\n]+)['\"]")
_NAMED = re.compile(
    r"(?:setting|variable|environment variable) ['\"]?([A-Z][A-Z0-9_]+)"
    r"|^([A-Z][A-Z0-9_]+) not found|The ([A-Z][A-Z0-9_]+) setting"
    r"|[Ss]et the ([A-Z][A-Z0-9_]+) environment",
    re.MULTILINE,
)
_HOST = re.compile(r"Invalid HTTP_HOST header: ['\"]([^'\"\s]+)['\"]")
_LOOKED_UP = re.compile(
    r"host name \"([^\"]+)\"|resolve (?:host )?'([^']+)'|host='([^']+)'|server host '([^']+)'"
    r"|connecting to ([^\s:]+):\d+\. (?:Name|Temporary)|Cannot connect to host ([^\s:]+)"
    r"|server on '([^':]+)"
)
# A visitor went away, or sent nonsense: every busy host has these.
_HARMLESS = re.compile(
    r"ClientDisconnect|BrokenPipeError|ConnectionResetError|\bEPIPE\b|UnreadablePostError"
    r"|RequestDataTooBig|SuspiciousOperation|SuspiciousFileOperation|TooManyFieldsSent"
    r"|Invalid request from|InvalidRequestLine|NoMoreData|ParseException|InvalidHeader"
    r"|asyncio\.exceptions\.CancelledError|starlette\.requests\.ClientDisconnect"
    r"|SystemExit: 0\b|KeyboardInterrupt|GeneratorExit|Bad Request|\bHTTP 4\d\d\b"
    r"|(?:NotFound|MethodNotAllowed|BadRequestKeyError|RequestEntityTooLarge): [45]\d\d "
)


def kind_of(said: Said) -> Optional[Tuple[str, str]]:
    """What a message says, and what it is about; None if it is no known kind."""
    text = said.whole
    for kind, pattern in _NUMBERED:
        if pattern.search(text):
            return kind, _about(kind, text)
    missing = _ENVIRON.search(text)
    if missing and _asked_environment(said):
        return "setting", missing.group(1)
    return None


def looked_up(text: str) -> str:
    """The name that could not be resolved; "" if the message does not say."""
    found = _LOOKED_UP.search(text)
    return next(filter(None, found.groups()), "") if found else ""


def is_harmless(said: Said) -> bool:
    """Whether every busy host has messages of this kind."""
    last = said.raised[-1] if said.raised else None
    return _HARMLESS.search(f"{last.type}: {last.text}" if last else said.text) is not None


def _asked_environment(said: Said) -> bool:
    """`os.environ[...]` raises in the module os."""
    return any(
        frame.name == "__getitem__" and re.search(r"(?:^|/)<?(?:frozen )?os(?:\.py|>)$", frame.file)
        for one in said.raised
        for frame in one.frames
    )


def _about(kind: str, text: str) -> str:
    if kind == "setting":
        found = _NAMED.search(text)
        return next(filter(None, found.groups()), "") if found else ""
    if kind == "host-refused":
        host = _HOST.search(text)
        return host.group(1) if host else "CSRF"
    if kind in ("files", "threads", "memory"):
        return ""
    found = _PATH.search(text)
    return found.group(1) if found else ""
