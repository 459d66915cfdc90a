"""Asks the OpenSSH client of this machine how it would reach a host: `ssh -G` (ssh(1))."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from cartwheel import process_env, programs
from cartwheel.errors import UsageError
from cartwheel.ssh.found import FILE_LISTS, REPEATED, Asked, Value
from cartwheel.ssh.syntax import words_of

# Canonical names need DNS lookups, and `Match exec` may run any program.
DEADLINE_SECONDS = 30.0
# ssh prints these without tokens and variables.
_EXPANDED = ("controlpath", "identityagent", "revokedhostkeys", "userknownhostsfile")
_LINE = re.compile(r"\bline \d+")
_NOBODY = "localhost"
# The start of the next of several files; a name with a blank is not quoted.
_NEXT_FILE = re.compile(r" (?=[/~]|%[a-zA-Z]/|\$\{|none\b)")


class Client:
    """Asks ssh. `config` replaces the user's and the system's file (`-F`)."""

    def __init__(self, program: str, config: Path | None) -> None:
        self._program = program
        self._config = config
        self._usual: Mapping[str, list[Value]] | None = None

    @classmethod
    def installed(cls, config: Path | None) -> Client | None:
        """None if there is no `ssh`, or if it is not OpenSSH's."""
        program = shutil.which("ssh")
        if program is None:
            return None
        client = cls(program, config)
        try:
            client._usual = client._answer(["-F", "none"], Asked(_NOBODY))
        except (UsageError, OSError):
            return None
        return client if "hostname" in client._usual else None

    def values(self, asked: Asked) -> dict[str, list[Value]]:
        """The values configured for a host, without defaults.

        Raises UsageError `ssh-config` with ssh's message.
        """
        files = ["-F", str(self._config)] if self._config is not None else []
        given = [word for key, value in asked.given for word in _option(key, value)]
        found = self._answer([*files, "-o", "ControlPath=%C", *given], asked)
        return {key: values for key, values in found.items() if not self._is_usual(key, values)}

    def _is_usual(self, key: str, values: list[Value]) -> bool:
        """Whether the values are defaults: ssh prints default lists like configured ones."""
        usual = [value.text for value in (self._usual or {}).get(key, ())]
        return key in (*REPEATED, *FILE_LISTS) and [value.text for value in values] == usual

    def _answer(self, options: list[str], asked: Asked) -> dict[str, list[Value]]:
        place = f"ssh_config for {asked.name}"
        try:
            ended = programs.run(
                [self._program, "-G", "-T", *options, "--", asked.name],
                env=process_env.of_user(),
                cwd=Path.cwd(),
                deadline_seconds=DEADLINE_SECONDS,
            )
        except programs.LateError as error:
            raise UsageError(
                "ssh-config",
                f"{place}: `ssh -G` did not end within {DEADLINE_SECONDS:g} s",
                detail=error.ended.tail(),
            ) from error
        if ended.status != 0:
            said = ended.errors_text.strip().splitlines() or [ended.how]
            # Commands of `Match exec` may have printed before; ssh's own message is the last lines.
            first = next((line for line in said if _LINE.search(line)), said[-1])
            raise UsageError("ssh-config", f"{place}: {first}", detail="\n".join(said))
        return _parsed(os.fsdecode(ended.output), place)


def _option(key: str, value: str) -> tuple[str, str]:
    """An option of ssh's command line. A user goes by -l, where old versions need no quotes."""
    if key == "user":
        return "-l", next(words_of(value, f"-o {key}={value}"), "")
    return "-o", f"{key}={value}"


def _parsed(text: str, place: str) -> dict[str, list[Value]]:
    found: dict[str, list[Value]] = {}
    for line in text.split("\n"):
        key, _blank, value = line.partition(" ")
        key = key.lower()
        if key in FILE_LISTS:
            found[key] = [Value(each, place, key in _EXPANDED) for each in _files(value)]
        elif key in REPEATED or key not in found:
            found.setdefault(key, []).append(Value(value, place, key in _EXPANDED))
    return found


def _files(text: str) -> list[str]:
    """The names in a list without quotes: each begins like a path."""
    names = _NEXT_FILE.split(text)
    if all(re.match(r"[/~%$]|none$", name) for name in names):
        return names
    return text.split(" ")
