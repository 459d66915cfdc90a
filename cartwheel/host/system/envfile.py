"""Environment variables in systemd's EnvironmentFile format (systemd.exec(5)).

Every value is written in double quotes, where systemd unescapes a backslash before
`"`, `\\`, `` ` `` and `$` (SHELL_NEED_ESCAPE in its env-file.c), takes a newline as
it is, and knows nothing else: no substitution, no other escapes.
"""

from __future__ import annotations

import re
from typing import Dict

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_NEED_ESCAPE = re.compile(r'(["\\`$])')
_ENTRY = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\`$]|\\["\\`$])*)"\n')
_ESCAPED = re.compile(r'\\(["\\`$])')
# systemd before 248 drops a variable with any other control character (with only a
# warning), so no release may depend on one.
_REFUSED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def problem(value: str) -> str:
    """Why systemd would not pass this value to a process; "" if it would."""
    if "\0" in value:
        return "the value holds a NUL byte"
    # unichar_is_valid of systemd's utf8.c
    for char in value:
        if 0xFDD0 <= ord(char) <= 0xFDEF or ord(char) & 0xFFFE == 0xFFFE:
            return f"the value holds U+{ord(char):04X}, which is no character"
    found = _REFUSED.search(value)
    if found:
        return f"the value holds the control character 0x{ord(found.group()):02x}"
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return "the value is not valid Unicode"
    return ""


def dump(variables: Dict[str, str]) -> str:
    """The file's text, one variable after the other in the order given.

    Raises ValueError, without the value, for a value that systemd cannot pass on exactly.
    """
    lines = []
    for name, value in variables.items():
        if not _NAME.match(name):
            raise ValueError(f"{name!r} is not the name of an environment variable")
        why = problem(value)
        if why:
            raise ValueError(f"{name}: {why}")
        lines.append('{}="{}"\n'.format(name, _NEED_ESCAPE.sub(r"\\\1", value)))
    return "".join(lines)


def parse(text: str) -> Dict[str, str]:
    """Parse what `dump` wrote. Raises ValueError, with the line, for anything else."""
    variables: Dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _ENTRY.match(text, at)
        if match is None:
            raise ValueError('line {} is not NAME="VALUE"'.format(text.count("\n", 0, at) + 1))
        variables[match.group(1)] = _ESCAPED.sub(r"\1", match.group(2))
        at = match.end()
    return variables
