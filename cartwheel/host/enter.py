"""Run a command as the application: with its user, folder and environment.

Installed as `enter`; `fab shell` and `fab run` use it. Nothing secret is ever an argument.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Dict, List, Optional

from cartwheel.host.layout import Layout
from cartwheel.host.state import record, releases
from cartwheel.host.system import children, envfile
from cartwheel.host.system.context import OpError


def environment(at: Layout, release: str) -> Dict[str, str]:
    """The variables of a release, as in its unit, with its virtual environment first in PATH."""
    folder = at.release(release)
    values = variables(at, release)
    base = children.clean_environment()
    return {
        **base,
        "CARTWHEEL_APP": at.app,
        "CARTWHEEL_RELEASE": release,
        "CARTWHEEL_CODE": str(at.packages(release)),
        **values,
        "PATH": f"{folder}/venv/bin:" + values.get("PATH", base["PATH"]),
        "VIRTUAL_ENV": str(folder / "venv"),
        "HOME": str(at.shared),
    }


def variables(at: Layout, release: str) -> Dict[str, str]:
    """The release's own variables. Raises OpError("not-whole")."""
    try:
        return envfile.parse((at.release(release) / "env").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as error:
        what = f"{release} is damaged: env is missing or damaged"
        raise OpError("not-whole", what) from error


def serving_release(at: Layout) -> str:
    release = releases.pointed(at.current)
    if release is None:
        raise OpError("not-deployed", f"{at.app} is not deployed on this host")
    return release


def app_user(at: Layout) -> str:
    return record.needed(at).user


def main(argv: Optional[List[str]] = None) -> int:
    """`enter APP BASE [COMMAND]`: become `sh -c COMMAND`, or else an interactive shell."""
    app, base, *command = argv if argv is not None else sys.argv[1:]
    at = Layout(app, Path(base))
    try:
        user = children.account(app_user(at))
        values = environment(at, serving_release(at))
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
