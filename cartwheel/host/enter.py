"""Run a command as the application: with its user, folder and environment.

Installed as `enter`; `fab shell` and `fab run` use it. Nothing secret is ever an argument.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import List, Optional

from cartwheel.host.layout import Layout
from cartwheel.host.state import environment, releases
from cartwheel.host.system import children
from cartwheel.host.system.context import OpError


def serving_release(at: Layout) -> str:
    release = releases.pointed(at.current)
    if release is None:
        raise OpError("not-deployed", f"{at.app} is not deployed on this host")
    return release


def main(argv: Optional[List[str]] = None) -> int:
    """`enter APP BASE [COMMAND]`: become `sh -c COMMAND`, or else an interactive shell."""
    app, base, *command = argv if argv is not None else sys.argv[1:]
    at = Layout(app, Path(base))
    try:
        user = children.account(environment.app_user(at))
        values = environment.of_release(at, serving_release(at))
        os.chdir(at.shared)
    except (OpError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    values.update({"USER": user.pw_name, "LOGNAME": user.pw_name})
    values.setdefault("TERM", os.environ.get("TERM", "dumb"))
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.umask(0o027)
    shell = "/bin/bash" if os.path.exists("/bin/bash") and not command else "/bin/sh"
    argv = [shell, "-c", " ".join(command)] if command else [shell, "-i"]
    os.execve(shell, argv, values)  # noqa: S606 - it becomes that shell
    return 1  # not reached
