"""The command that starts the host side, and what it means when it does not start."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from cartwheel.errors import ConnectError
from cartwheel.ssh.bundle import HELLO, OLDEST_PYTHON
from cartwheel.ssh.target import Target

NOT_EXECUTABLE_STATUS, NOT_FOUND_STATUS = 126, 127  # POSIX shells
_HELLO_LINE = re.compile(rb"(?:^|\n)" + re.escape(HELLO) + rb" (\d+)\.(\d+)\.(\d+)\n")
# More noise than this before our greeting is no login shell's.
NOISE_LIMIT_BYTES = 1 << 20
_STOP_SECONDS = 300
_QUOTABLE = re.compile(r"[\w@%+=:,./-]+", re.ASCII)


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
    words = [*sudo, *_unit_words(unit), target.python, "-I", "-c"]
    return " ".join([*map(quote, words), f"'{loader}'"])


def quote(word: str) -> str:
    """Quoted for sh, bash, zsh and fish alike, which differ in what a backslash means."""
    if _QUOTABLE.fullmatch(word):
        return word
    if "'" in word or "\\" in word:
        return shlex.quote(word)
    return f"'{word}'"


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
        r"|[Uu]nknown command:? systemd-run",
        "no-systemd",
        "the host has no systemd-run",
        needs="unit",
    ),
    _Reason(r"No module named", "no-python", "{python} lacks its standard library: {last}"),
)
_MISSING = re.compile(r"not found|No such file or directory|[Uu]nknown command|Failed to find exec")


def why_not_started(
    target: Target, status: int | None, errors: str, *, sudo: bool, unit: UnitSpec | None
) -> ConnectError:
    """What ended the start, from the exit status (None: none came) and standard error."""
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
    slug, message = _from_status(target, status, errors, last)
    return ConnectError(slug, message, host=target.name, detail=errors.strip())


def _from_status(target: Target, status: int | None, errors: str, last: str) -> tuple[str, str]:
    if status == NOT_EXECUTABLE_STATUS:
        return "no-python", f"{target.python} cannot be run: {last}"
    if status == NOT_FOUND_STATUS or (status and _MISSING.search(errors)):
        return "no-python", f"there is no {target.python}"
    if status is None:
        return "ssh-lost", "the connection ended before the host side had started"
    return "host-side", f"the host side did not start (exit status {status}): {last}"
