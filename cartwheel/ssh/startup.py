"""The command that starts the host side, and what it means when it does not start."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cartwheel.errors import ConnectError
from cartwheel.host.system.children import clean_environment
from cartwheel.ssh.bundle import HELLO, OLDEST_PYTHON
from cartwheel.ssh.target import Target

NOT_EXECUTABLE_STATUS, NOT_FOUND_STATUS = 126, 127  # POSIX shells
_HELLO_LINE = re.compile(rb"(?:^|\n)" + re.escape(HELLO) + rb" (\d+)\.(\d+)\.(\d+)\n")
# More noise than this before our greeting is no login shell's.
NOISE_LIMIT_BYTES = 1 << 20
_SHOWN_CHARACTERS = 2000  # of what a host printed instead of starting
_STOP_SECONDS = 300
# What runs on the host gets nothing of the login's shell, nor the PATH that sudo narrows.
KNOWN_ENVIRONMENT = (
    "env",
    "-i",
    *(f"{name}={value}" for name, value in clean_environment().items()),
)
_QUOTABLE = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
_UNEVEN = re.compile(r"['\\!]")


@dataclass(frozen=True)
class UnitSpec:
    """The transient unit that a changing task runs in (systemd-run(1)).

    When it is killed its children die with it, and `stop_post` (an absolute
    program and its arguments) runs.
    """

    name: str
    stop_post: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True)
class Hello:
    """The host's Python, and the first byte after its greeting."""

    version: tuple[int, int, int]
    end: int

    @property
    def text(self) -> str:
        return ".".join(str(part) for part in self.version)


def find_hello(output: bytes | bytearray) -> Hello | None:
    """The greeting, wherever shell start-up files have printed before it."""
    found = _HELLO_LINE.search(output)
    if not found:
        return None
    major, minor, micro = (int(found[n]) for n in (1, 2, 3))
    return Hello((major, minor, micro), found.end())


def prompt_pattern(prompt: str) -> re.Pattern[bytes]:
    """Where sudo asks with this prompt: not where a shell that traces (`set -x`) shows how sudo
    is called, for the password would lie there when sudo asks, and count as a wrong one."""
    return re.compile(rb"(?<!-p )(?<!-p ['\"])" + re.escape(prompt.encode()))


def sudo_words(target: Target, prompt: str) -> list[str]:
    """How to become root: not at all as root, without a prompt if no password is known.

    `-k` ignores a cached credential: with one, `-S` would hand the password line
    to the child (sudo(8)).
    """
    if target.user == "root":
        return []
    if target.sudo_password is None:
        return ["env", "LC_ALL=C", "sudo", "-n", "--"]
    return ["env", "LC_ALL=C", "sudo", "-k", "-S", "-p", prompt, "--"]


def start_command(
    target: Target, loader: str, *, sudo: list[str], unit: UnitSpec | None = None
) -> str:
    """One line for the login shell, whichever it is."""
    words = [*sudo, *KNOWN_ENVIRONMENT, *_unit_words(unit), target.python, "-I", "-c"]
    return " ".join([*map(quote, words), f"'{loader}'"])


def quote(word: str) -> str:
    """Quoted for sh, bash, zsh, fish and csh alike. Between quotes they differ in what a
    backslash means, and csh takes `!` for an old command; outside, a backslash serves them all."""
    if _QUOTABLE.fullmatch(word):
        return word
    return "'" + _UNEVEN.sub(r"'\\\g<0>'", word) + "'"


def _unit_words(unit: UnitSpec | None) -> Iterator[str]:
    if unit is None:
        return
    yield from ("systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec")
    yield f"--unit={unit.name}"
    if unit.description:
        yield f"--description={unit.description}"
    # Time to put things in order, for itself and then for `stop_post`.
    yield from ("-p", "KillMode=control-group", "-p", f"TimeoutStopSec={_STOP_SECONDS}")
    if unit.stop_post:
        yield from ("-p", f"ExecStopPost={' '.join(unit.stop_post)}")


def too_old(target: Target, version: str) -> ConnectError:
    """The greeting came from a Python that cannot run the host side."""
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return ConnectError(
        "no-python",
        f"{target.python} is Python {version}; Cartwheel needs {oldest} or later",
        host=target.name,
    )


def wrong_password(target: Target) -> ConnectError:
    return ConnectError(
        "sudo-password",
        f"sudo does not accept the password for '{target.user}'",
        host=target.name,
    )


@dataclass(frozen=True)
class _Reason:
    """What standard error says (sudo, systemd-run, login shells; in English by LC_ALL)."""

    pattern: str
    slug: str
    message: str
    needs: str = ""
    hint: str = ""


_REASONS = (
    _Reason(
        r"sudo: (command )?not found|not found: sudo|[Uu]nknown command:? sudo"
        r"|env: .?sudo.?: No such file",
        "sudo-missing",
        "'{user}' is not root, and there is no sudo",
        needs="sudo",
    ),
    _Reason(
        r"a password is required|a terminal is required",
        "sudo-password",
        "sudo asks '{user}' for a password, and none is known",
        needs="sudo",
        # sudo asks those too who may not use it, before it says so.
        hint="Set ssh.sudo_password in the settings, or use `fab --prompt-for-sudo-password`;"
        " and check that this user may use sudo at all.",
    ),
    _Reason(
        r"incorrect password attempt",
        "sudo-password",
        "sudo does not accept the password for '{user}'",
        needs="sudo",
    ),
    _Reason(
        r"not in the sudoers|is not allowed to|may not run sudo|must have a tty"
        r"|no valid sudoers|I'm sorry",
        "sudo-missing",
        "'{user}' may not use sudo: {last}",
        needs="sudo",
    ),
    _Reason(
        r"[Uu]nit .*already (exists|loaded)|was already loaded",
        "locked",
        "{unit} runs already: another deploy is at work there",
        needs="unit",
    ),
    _Reason(
        r"systemd-run: (command )?not found|not found: systemd-run"
        r"|env: .?systemd-run.?: No such file"
        r"|[Uu]nknown command:? systemd-run",
        "no-systemd",
        "the host has no systemd-run",
        needs="unit",
    ),
    _Reason(r"No module named", "no-python", "{python} lacks its standard library: {last}"),
)
_MISSING = re.compile(r"not found|No such file or directory|[Uu]nknown command|Failed to find exec")


def why_not_started(
    target: Target,
    status: int | None,
    errors: str,
    *,
    sudo: bool,
    unit: UnitSpec | None,
    printed: str = "",
) -> ConnectError:
    """What ended the start, from the exit status (None: none came), standard error, and what
    was `printed` on standard output."""
    last = (errors.strip().splitlines() or [""])[-1]
    words = {
        "user": target.user,
        "python": target.python,
        "last": last,
        "unit": unit.name if unit else "",
    }
    applies = {"": True, "sudo": sudo, "unit": unit is not None}
    for reason in _REASONS:
        if applies[reason.needs] and re.search(reason.pattern, errors):
            message = reason.message.format(**words)
            return ConnectError(
                reason.slug, message, host=target.name, hint=reason.hint, detail=errors.strip()
            )
    if status is None:
        message = "the connection ended before the host side had started"
        return ConnectError("ssh-lost", message, host=target.name, detail=errors.strip())
    missing = _without_python(target, status, errors, last)
    if missing:
        return ConnectError("no-python", missing, host=target.name, detail=errors.strip())
    ended = f"the login ended with exit status {status} before our command had started"
    return no_greeting(target, ended, errors, printed)


def no_greeting(target: Target, reason: str, errors: str, printed: str) -> ConnectError:
    """The login does something else than it was told; what it said shows what."""
    said = "\n".join(text.strip() for text in (printed, errors) if text.strip())
    last = said.splitlines()[-1].strip() if said else ""
    shown = f", and printed: {last}" if last else ", and printed nothing"
    return ConnectError(
        "no-greeting", reason + shown, host=target.name, detail=said[-_SHOWN_CHARACTERS:]
    )


def _without_python(target: Target, status: int, errors: str, last: str) -> str:
    """How the host said that Python is not there, or nothing: start-up files too may name a
    program that is not found."""
    about = [line for line in errors.splitlines() if target.python in line]
    if status == NOT_EXECUTABLE_STATUS and (about or not errors.strip()):
        return f"{target.python} cannot be run: {last}"
    silent = status == NOT_FOUND_STATUS and not errors.strip()
    if silent or (status and any(_MISSING.search(line) for line in about)):
        return f"there is no {target.python}"
    return ""
