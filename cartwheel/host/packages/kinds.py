"""Every kind of package manager, and which of them a host has."""

from __future__ import annotations

import shutil
from typing import Tuple

from cartwheel.host.packages.apt import Apt
from cartwheel.host.packages.manager import PackageManager
from cartwheel.host.system.context import OpError

# A new kind is a file beside apt.py, and a word here.
KINDS: Tuple[PackageManager, ...] = (Apt(),)

NONE_STATUS = 3

# Others that a host may have: to say which it is.
_UNSUPPORTED = ("apt-get", "dnf", "yum", "zypper", "pacman", "apk")


def of_this_host() -> PackageManager:
    """The kind that this host has. Raises OpError("package-manager") where we know none of it."""
    for kind in KINDS:
        if shutil.which(kind.command):
            return kind
    there = next((name for name in _UNSUPPORTED if shutil.which(name)), "something unknown")
    raise OpError(
        "package-manager",
        "this host's packages are managed by {}; supported so far: {}".format(there, supported()),
    )


def supported() -> str:
    """The supported kinds in words: the commands by which they are known."""
    return ", ".join(kind.command for kind in KINDS)


def python_script() -> str:
    """A script for sh that installs Python on a host that has none; its exit status is NONE_STATUS
    where the host has none of these package managers."""
    cases = [
        "if command -v {} >/dev/null; then\n{}exit 0\nfi\n".format(kind.command, kind.python_script)
        for kind in KINDS
    ]
    end = 'echo "no supported package manager ({})" >&2\nexit {}\n'.format(supported(), NONE_STATUS)
    return "set -eu\n" + "".join(cases) + end
