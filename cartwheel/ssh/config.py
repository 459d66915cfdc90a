"""ssh_config(5) files, with `Include`, which paramiko leaves out in silence."""

from __future__ import annotations

import glob
import re
from pathlib import Path

import paramiko

from cartwheel.errors import UsageError

USER_CONFIG = Path("~/.ssh/config")
SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
# ssh itself gives up at this depth (readconf.c, READCONF_MAX_DEPTH).
_DEEPEST_INCLUDE = 16
_INCLUDE = re.compile(r"^\s*include(?:\s+|\s*=\s*)(.+?)\s*$", re.IGNORECASE)
_BLOCK = re.compile(r"^\s*(host|match)(?:\s+|\s*=\s*)(.+?)\s*$", re.IGNORECASE)


def load_ssh_config(path: Path | None = None) -> paramiko.SSHConfig:
    """The user's and the system's configuration, or only `path` (fab's -S).

    Raises UsageError `usage` for a file that cannot be read or understood.
    """
    files = [path] if path else [USER_CONFIG.expanduser(), SYSTEM_CONFIG]
    config = paramiko.SSHConfig()
    for file in files:
        if path is None and not file.is_file():
            continue
        try:
            config.parse(expand_includes(file))
        except (paramiko.ConfigParseError, OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                "usage", f"{file} cannot be used as ssh_config: {reason}", hint="Mend the file."
            ) from error
    return config


def expand_includes(path: Path, depth: int = 0) -> list[str]:
    """The lines of `path` with those of included files in their place.

    An Include inside a Host or Match block holds for that block only (ssh_config(5)):
    a `Host` in such a file would widen it, so its own blocks are refused there.
    Relative names are relative to ~/.ssh, or to /etc/ssh for the system's file.
    """
    if depth > _DEEPEST_INCLUDE:
        raise UsageError("usage", f"{path}: too many levels of Include", hint="Mend the file.")
    lines: list[str] = []
    block: str | None = None
    for line in path.read_text("utf-8").splitlines():
        heading, include = _BLOCK.match(line), _INCLUDE.match(line)
        if heading:
            block = line
        if not include:
            lines.append(line)
            continue
        for included in _matches(include[1], path):
            inner = expand_includes(included, depth + 1)
            if block and any(_BLOCK.match(each) for each in inner):
                raise UsageError(
                    "usage",
                    f"{path}: `Include {included}` stands inside `{block.strip()}`, and that file"
                    " has Host or Match blocks of its own",
                    hint="Move the Include to the top of the file.",
                )
            lines += inner
            if not block:
                # What follows belongs to nobody's block again, as before the Include.
                lines.append("Host *")
    return lines


def _matches(patterns: str, path: Path) -> list[Path]:
    base = path.parent if path.is_relative_to("/etc/ssh") else Path("~/.ssh").expanduser()
    found: list[Path] = []
    for pattern in re.findall(r'"([^"]+)"|(\S+)', patterns):
        name = str(base / Path(pattern[0] or pattern[1]).expanduser())
        # Path.glob takes no absolute patterns.
        names = sorted(glob.glob(name))  # noqa: PTH207
        found += [Path(each) for each in names if Path(each).is_file()]
    return found
