"""The command that starts the host side, and the reasons why it may not start."""

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
# No login shell prints more than this before our greeting.
NOISE_LIMIT_BYTES = 1 << 20
_SHOWN_CHARACTERS = 2000  # of a host's output if it did not start
_STOP_SECONDS = 300
# Our programs on the host get no variables of the login shell, nor the short PATH of sudo.
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

    If it is killed, its children die with it, and `stop_post` (an absolute program and its
    arguments) runs.
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
    """Find the greeting, also after output of shell start-up files."""
    found = _HELLO_LINE.search(output)
    if not found:
        return None
    major, minor, micro = (int(found[n]) for n in (1, 2, 3))
    return Hello((major, minor, micro), found.end())


def prompt_pattern(prompt: str) -> re.Pattern[bytes]:
    """Matches sudo's question with this prompt, but not the trace of a shell (`set -x`) that shows
    how sudo is called: then the password would be sent too early, and count as a wrong one."""
    return re.compile(rb"(?<!-p )(?<!-p ['\"])" + re.escape(prompt.encode()))


def sudo_words(target: Target, prompt: str) -> list[str]:
    """How to become root: no sudo for root, no prompt if no password is known.

    `-k` ignores a cached credential; with one, `-S` would pass the password to the child (sudo(8)).
    """
    if target.user == "root":
        return []
    if target.sudo_password is None:
        return ["env", "LC_ALL=C", "sudo", "-n", "--"]
    return ["env", "LC_ALL=C", "sudo", "-k", "-S", "-p", prompt, "--"]


def start_command(
    target: Target, loader: str, *, sudo: list[str], unit: UnitSpec | None = None
) -> str:
    """One line for any login shell."""
    words = [*sudo, *KNOWN_ENVIRONMENT, *_unit_words(unit), target.python, "-I", "-c"]
    return " ".join([*map(quote, words), f"'{loader}'"])


def quote(word: str) -> str:
    """Quoted for sh, bash, zsh, fish and csh. Inside quotes they treat a backslash differently,
    and csh expands `!`; outside of quotes, a backslash works in all of them."""
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
    # Time to recover, for itself and then for `stop_post`.
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
        f"sudo rejected the password for '{target.user}'",
        host=target.name,
    )


@dataclass(frozen=True)
class _Reason:
    """A message on standard error (of sudo, systemd-run, login shells; in English by LC_ALL)."""

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
        "'{user}' is not root, and the host has no sudo",
        needs="sudo",
    ),
    _Reason(
        # sudo-rs: "interactive authentication is required".
        r"[Aa] password is required|[Aa] terminal is required|authentication is required",
        "sudo-password",
        "sudo asks '{user}' for a password, but none was given",
        needs="sudo",
        # sudo asks those too who may not use it, before it says so.
        hint="Set ssh.sudo_password in the settings, or use `fab --prompt-for-sudo-password`;"
        " and check that this user may use sudo at all.",
    ),
    _Reason(
        r"incorrect (password|authentication) attempt",
        "sudo-password",
        "sudo rejected the password for '{user}'",
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
        "{unit} is already running: another run is changing this application",
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
    _Reason(r"No module named", "no-python", "the standard library of {python} is missing: {last}"),
)
# After the excepted one sudo goes on.
_SUDO_FAILS = re.compile(r"sudo(?:-rs)?: (?!unable to resolve host)")
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
    """Why the host side did not start: from the exit status (None: none came), standard error,
    and what was `printed` on standard output."""
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
    if sudo and _SUDO_FAILS.match(last):
        message = f"sudo does not work for '{target.user}': {last}"
        return ConnectError("sudo-missing", message, host=target.name, detail=errors.strip())
    ended = f"the login ended with exit status {status} before Cartwheel's command had started"
    return no_greeting(target, ended, errors, printed)


def no_greeting(target: Target, reason: str, errors: str, printed: str) -> ConnectError:
    """The error for a login that does not run our command, with its output."""
    said = "\n".join(text.strip() for text in (printed, errors) if text.strip())
    last = said.splitlines()[-1].strip() if said else ""
    shown = f", and printed: {last}" if last else ", and printed nothing"
    return ConnectError(
        "no-greeting", reason + shown, host=target.name, detail=said[-_SHOWN_CHARACTERS:]
    )


def _without_python(target: Target, status: int, errors: str, last: str) -> str:
    """The message if the host says that Python is missing, or "": start-up files may also call a
    program that is missing."""
    about = [line for line in errors.splitlines() if target.python in line]
    if status == NOT_EXECUTABLE_STATUS and (about or not errors.strip()):
        return f"{target.python} cannot be run: {last}"
    silent = status == NOT_FOUND_STATUS and not errors.strip()
    if silent or (status and any(_MISSING.search(line) for line in about)):
        return f"there is no {target.python}"
    return ""
