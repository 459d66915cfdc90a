"""Explains an answer or a log, and names the setting that decides; "" if it is unclear. Pure."""

from __future__ import annotations

import re
from typing import Sequence, Tuple
from urllib.parse import urljoin, urlsplit

from cartwheel.host.wire.health import Probe

_REDIRECTS = (301, 302, 303, 307, 308)
_LOGIN = re.compile(r"log-?in|sign-?in|auth|account|sso", re.IGNORECASE)
# These may pass: a timeout, a conflict, a lock, too early, too many requests.
_MAY_PASS = frozenset((408, 409, 423, 425, 429))
_PLAIN_PATH = "choose a path that answers without login and redirect"

# The first one that has the status.
_ANSWERS: Tuple[Tuple[Sequence[int], str], ...] = (
    (
        (400, 421),
        "Perhaps the app rejects the Host header {host}: allow it (Django: ALLOWED_HOSTS), or set"
        " health.host to a name that it allows; else set health.path to a path that answers.",
    ),
    ((401, 403), f"It asks for a login: set health.path, and {_PLAIN_PATH}, or health.status."),
    (
        (404, 405, 410),
        "The app has no {path}: set health.path to a path that answers{example}.",
    ),
    ((429,), "The app limits requests: set health.path to a path without a limit."),
    ((500,), "The app fails at {path}: see its log, or set health.path to another path."),
    (
        range(501, 600),
        "The app fails at {path}: see its log, or set health.path to another path; if it is still"
        " starting then, raise health.deadline_seconds.",
    ),
    (range(200, 300), "Set health.status = {status} if that is right."),
    (range(600), "Set health.path to another path, or health.status = {status}."),
)

_LOG: Tuple[Tuple["re.Pattern[str]", str], ...] = (
    *(
        (
            re.compile(pattern, re.DOTALL),
            f'The app\'s sandbox forbids it: hardening.allow = ["{what}"].',
        )
        for pattern, what in (
            (r"\b(?:os\.)?(?:nice|setpriority|ionice)\b.{0,400}Operation not permitted", "nice"),
            (
                r"\b(?:sched_)?(?:setaffinity|setscheduler)\b.{0,400}Operation not permitted",
                "affinity",
            ),
            (r"cpu_affinity\(.{0,400}Operation not permitted", "affinity"),
            (
                r"(?i:netlink|getifaddrs|net_if_addrs).{0,400}Address family not supported",
                "netlink",
            ),
            (r"AF_PACKET.{0,400}Address family not supported", "raw-sockets"),
            (r"SOCK_RAW.{0,400}Operation not permitted", "raw-sockets"),
        )
    ),
    (
        re.compile(r"Address family not supported by protocol"),
        "The app's sandbox allows only AF_UNIX, AF_INET and AF_INET6: hardening.allow ="
        ' ["netlink"] or ["raw-sockets"].',
    ),
    (
        re.compile(r"/releases/[^/'\"\n]+/venv/var\b"),
        "Flask's instance folder is part of the release here: Flask(__name__, instance_path="
        'os.environ.get("CARTWHEEL_SHARED")) keeps it in the shared folder.',
    ),
    (
        re.compile(
            r"(?:Read-only file system|Permission denied): b?['\"]/[^'\"\n]*/releases/[^/'\"\n]+/"
            r"(?:venv|files)/"
            r"|sqlite3\.OperationalError: (?:unable to open database|attempt to write a readonly)"
        ),
        "A release is never edited: keep what the app writes in its shared folder, in which it runs"
        " (also its HOME), not beside its code.",
    ),
    (
        re.compile(
            r"(?:Read-only file system|No such file or directory): b?['\"]/var/log/"
            r"([^/'\"\n]+)\.log['\"]"
        ),
        "The app may not write to /var/log itself: log to standard output (`fab logs` shows it), or"
        ' to /var/log/{0}/ with hardening.folders = ["/var/log/{0}"].',
    ),
    (
        # The folder of a file; but below one that all programs share, the folder in that.
        re.compile(
            r"Read-only file system: b?['\"]((?:/var/(?:lib|log|cache|spool|opt|www)|/srv|/opt)"
            r"/[^/'\"\n]+|/[^'\"\n]+(?=/[^/'\"\n]*['\"]))"
        ),
        'The app may not write there: hardening.folders = ["{0}"] makes that folder and gives it to'
        " the app's user; or keep the file in the shared folder.",
    ),
    (
        re.compile(r"(?:Permission denied|No such file or directory): b?['\"]/(?:home|root)/"),
        "The app cannot see home folders: keep the file in its shared folder, or in [files].",
    ),
    (
        re.compile(
            r"No such file or directory: b?['\"]"
            r"(/dev/(?!shm|null|u?random|zero|full|tty['\"])[^'\"]+)"
        ),
        'The app sees no devices such as {0}: hardening.unit = ["PrivateDevices=no"], and'
        ' "DeviceAllow={0} rw".',
    ),
    (
        re.compile(
            r"No such file or directory: b?['\"](/var/(?:lib|log|cache|spool|opt)/[^/'\"\n]+)/"
        ),
        'If the app is to write there, hardening.folders = ["{0}"] makes that folder and gives it'
        " to the app's user.",
    ),
    (
        re.compile(
            r"\bin _execute_child\b.{0,300}?No such file or directory: b?['\"]([^/'\"\n]+)",
            re.DOTALL,
        ),
        "The host lacks the program {0}: name its package in host.packages, then run `fab packages"
        " -H HOST`.",
    ),
    (
        re.compile(
            r"No such file or directory: b?['\"](?!/)[^'\"\n]+"
            r"|Directory '(?!/)[^'\n]+' does not exist|not found in search path: '(?!/)"
        ),
        "A relative path begins in the app's shared folder, in which it runs: for files of its code"
        " use `Path(__file__).parent`, and name data files that the wheel lacks in app.include.",
    ),
    (
        re.compile(r'"no new privileges" flag is set'),
        "The app and all that it starts can never become root: let a unit of root do that part.",
    ),
    (
        re.compile(r"\b(?:server_bind|\w*bind\().{0,300}?Permission denied", re.DOTALL),
        "Only root may use ports below 1024: choose a higher one.",
    ),
    (
        re.compile(r"ffi_prep_closure|(?i:cannot (?:allocate|enable) executable memory)"),
        "hardening.memory_deny_write_execute forbids it.",
    ),
    (
        re.compile(r"missing \d required positional arguments?: (?:'receive' and )?'send'"),
        'It is an ASGI application under a WSGI worker: set gunicorn.kind = "asgi" or "uvicorn"'
        " (or gunicorn.worker_class).",
    ),
    (
        re.compile(r"missing 1 required positional argument: 'start_response'"),
        'It is no WSGI application: perhaps a factory, app.entry = "module:factory()".',
    ),
    (
        re.compile(r"__call__\(\) takes (?:from \d to )?3 positional arguments but 4 were given"),
        'It is a WSGI application under an ASGI worker: set gunicorn.kind = "wsgi" (or'
        " gunicorn.worker_class).",
    ),
    (
        re.compile(r"(lib[\w+.-]+\.so[.\d]*): cannot open shared object file"),
        "The host lacks the library {0}: name its package in host.packages, then run `fab packages"
        " -H HOST`.",
    ),
    (
        re.compile(r"PermissionError: \[Errno 1\] Operation not permitted$", re.MULTILINE),
        "Perhaps the app's sandbox forbids this call: hardening.unit can allow it, e.g."
        ' "SystemCallFilter=NAME" (systemd.exec(5)).',
    ),
    (
        re.compile(r"WORKER TIMEOUT"),
        "A worker was silent for longer than gunicorn.timeout_seconds.",
    ),
    (
        re.compile(r"Perhaps out of memory|Out of memory: Killed|oom-kill", re.IGNORECASE),
        "It needs more memory than the host has, or than hardening.memory_max allows.",
    ),
)


# Flask-Migrate, alembic, Django.
_NO_MIGRATIONS = re.compile(
    r"Path doesn't exist: |No '?script_location'? key|No config file '"
    r"|can't open file '\S*manage\.py'"
)


def of_answer(status: int, location: str, probe: Probe) -> str:
    """Advice about an unwanted answer to the health check."""
    if status in _REDIRECTS:
        return _of_redirect(status, location, probe)
    text = next((text for statuses, text in _ANSWERS if status in statuses), "")
    example = "" if probe.path == "/" else ', e.g. "/"'
    return text.format(status=status, path=probe.path, host=probe.host, example=example)


def _of_redirect(status: int, location: str, probe: Probe) -> str:
    target = urlsplit(urljoin(f"{probe.scheme}://{probe.host}{probe.path}", location))
    same_path = target.path == urlsplit(probe.path).path
    if target.scheme == "https" and same_path and probe.scheme == "http":
        return 'The app redirects plain HTTP: set health.scheme = "https".'
    elsewhere = target.netloc if target.netloc != probe.host else ""
    if _LOGIN.search(elsewhere + target.path):
        return f"It asks for a login: set health.path, and {_PLAIN_PATH}."
    if elsewhere:
        own = f'health.host = "{elsewhere}" if that is its own'
        return f"The app redirects to another host: set {own}; else health.path, and {_PLAIN_PATH}."
    if not same_path:
        return f'Set health.path = "{target.path}", or health.status = {status} if that is right.'
    return f"Set health.path, and {_PLAIN_PATH}."


def is_steady(status: int) -> bool:
    """Whether the same answer will come again: a setting or the app has to change."""
    return 200 <= status < 500 and status not in _MAY_PASS


def of_command(command: str, output: str) -> str:
    """The setting that lets an application's own command find its files; "" if it found them."""
    if not _NO_MIGRATIONS.search(output):
        return ""
    lacks = 'app.include = ["migrations/", "alembic.ini", "manage.py"] adds what a wheel lacks'
    if "CARTWHEEL_CODE" in command:
        return f"The release does not have these files: {lacks}."
    return f'It runs in the shared folder: begin with `cd "$CARTWHEEL_CODE" &&`; {lacks}.'


def of_log(text: str) -> str:
    """The setting that decides about the failure in an application's log."""
    for pattern, advice in _LOG:
        found = pattern.search(text)
        if found:
            return advice.format(*found.groups())
    return ""
