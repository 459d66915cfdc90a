"""Explains an answer or a log, and names the setting that decides; "" if it is unclear. Pure."""

from __future__ import annotations

import re
from typing import Tuple
from urllib.parse import urlsplit

from cartwheel.host.wire.health import Probe

_REDIRECTS = (301, 302, 303, 307, 308)
_LOGIN = re.compile(r"log-?in|sign-?in|auth|account|sso", re.IGNORECASE)
# These may pass: a timeout, a conflict, a lock, too early, too many requests.
_MAY_PASS = frozenset((408, 409, 423, 425, 429))
_PLAIN_PATH = "choose a path that answers without login and redirect"

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
        re.compile(r"WORKER TIMEOUT"),
        "A worker was silent for longer than gunicorn.timeout_seconds.",
    ),
    (
        re.compile(r"Perhaps out of memory|Out of memory: Killed|oom-kill", re.IGNORECASE),
        "It needs more memory than the host has, or than hardening.memory_max allows.",
    ),
)


def of_answer(status: int, location: str, probe: Probe) -> str:
    """Advice about an unwanted answer to the health check."""
    if status in _REDIRECTS:
        return _of_redirect(status, location, probe)
    if status == 400:
        return (
            f"The app rejects the Host header {probe.host}: allow it (Django: ALLOWED_HOSTS), or"
            " set health.host to a name that it allows; or health.path to a path that answers."
        )
    if status in (401, 403):
        return f"It asks for a login: set health.path, and {_PLAIN_PATH}, or health.status."
    if status in (404, 405, 410):
        return f'The app has no {probe.path}: set health.path to a path that answers, e.g. "/".'
    if 200 <= status < 300:
        return f"Set health.status = {status} if that is right."
    return f"Set health.path to another path, or health.status = {status}." if status < 500 else ""


def _of_redirect(status: int, location: str, probe: Probe) -> str:
    target = urlsplit(location)
    same_path = target.path == probe.path.partition("?")[0]
    if target.scheme == "https" and same_path and probe.scheme == "http":
        return 'The app redirects plain HTTP: set health.scheme = "https".'
    if same_path and target.hostname and target.hostname != probe.host:
        return f'The app redirects to another host: set health.host = "{target.hostname}".'
    if _LOGIN.search(target.path):
        return f"It asks for a login: set health.path, and {_PLAIN_PATH}."
    if target.path:
        return f'Set health.path = "{target.path}", or health.status = {status} if that is right.'
    return f"Set health.path, and {_PLAIN_PATH}."


def is_steady(status: int) -> bool:
    """Whether the same answer will come again: a setting or the app has to change."""
    return 200 <= status < 500 and status not in _MAY_PASS


def of_log(text: str) -> str:
    """The setting that decides about the failure in an application's log."""
    for pattern, advice in _LOG:
        found = pattern.search(text)
        if found:
            return advice.format(*found.groups())
    return ""
