"""Every kind of package manager, and which of them a host has."""

from __future__ import annotations

import shutil
from typing import Tuple

from cartwheel.host.packages.apt import Apt
from cartwheel.host.packages.manager import PackageManager
from cartwheel.host.system.context import OpError

# To add a kind, add a file next to apt.py and an entry here.
KINDS: Tuple[PackageManager, ...] = (Apt(),)

NONE_STATUS = 3
_TRY = "python3 -I -c 'import json'"

# Other package managers, to name the one that a host has.
_UNSUPPORTED = ("apt-get", "dnf", "yum", "zypper", "pacman", "apk")


def of_this_host() -> PackageManager:
    """The kind that this host has. Raises OpError("package-manager") if none is supported."""
    for kind in KINDS:
        if shutil.which(kind.command):
            return kind
    there = next((name for name in _UNSUPPORTED if shutil.which(name)), "something unknown")
    raise OpError(
        "package-manager",
        f"this host's packages are managed by {there}; supported so far: {supported()}",
    )


def supported() -> str:
    """The supported kinds as text: their commands."""
    return ", ".join(kind.command for kind in KINDS)


def python_script() -> str:
    """A script for sh that installs Python on a host without one; it exits with NONE_STATUS if the
    host has none of these package managers."""
    cases = [
        f"if command -v {kind.command} >/dev/null; then\n{kind.python_script}exec {_TRY}\nfi\n"
        for kind in KINDS
    ]
    end = f'echo "no supported package manager ({supported()})" >&2\nexit {NONE_STATUS}\n'
    return "set -eu\n" + "".join(cases) + end
