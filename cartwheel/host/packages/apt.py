"""apt: Debian and Ubuntu."""

from __future__ import annotations

from typing import List, Sequence, Tuple

from cartwheel.host.system import children, locks
from cartwheel.host.system.context import Context, OpError

_UPDATE_SECONDS = 300.0
_INSTALL_SECONDS = 1200.0
_QUERY_SECONDS = 30.0
# apt waits for another apt instead of failing (apt >= 1.9.11: DPkg::Lock::Timeout).
_APT = ["-q", "-y", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0"]
_QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}


class Apt:
    """A kind of package manager (`manager.PackageManager`)."""

    command = "apt-get"
    base_packages: Tuple[str, ...] = ("iproute2", "ca-certificates")
    python_script = """export DEBIAN_FRONTEND=noninteractive
apt-get -q -y -o DPkg::Lock::Timeout=120 update
apt-get -q -y -o DPkg::Lock::Timeout=120 --no-install-recommends install python3
python3 -I -c 'import json' ||
  apt-get -q -y -o DPkg::Lock::Timeout=120 --reinstall install python3-minimal python3
"""

    def missing(self, names: Sequence[str]) -> List[str]:
        return [name for name in names if not self._installed(name)]

    @staticmethod
    def _installed(name: str) -> bool:
        argv = ["dpkg-query", "-W", "-f=${db:Status-Status}\n", name]
        done = children.ask(argv, timeout_seconds=_QUERY_SECONDS)
        return done.status == 0 and done.output.strip() == "installed"

    def install(self, ctx: Context, names: Sequence[str]) -> None:
        with locks.shared_parts(ctx):
            self._call(ctx, ["apt-get", *_APT, "update"], _UPDATE_SECONDS, names)
            command = ["apt-get", *_APT, "--no-install-recommends", "install", *names]
            self._call(ctx, command, _INSTALL_SECONDS, names)

    @staticmethod
    def _call(ctx: Context, argv: List[str], seconds: float, names: Sequence[str]) -> None:
        done = children.run(ctx, argv, timeout_seconds=seconds, env=_QUIET, step="packages")
        if done.status != 0:
            errors = [line for line in done.output.splitlines() if line.startswith("E:")]
            why = errors[0][3:] if errors else "see its output"
            log = children.tail(done.output)
            raise OpError("packages", f"apt could not install {', '.join(names)}: {why}", log=log)

    def python(self, version: str) -> List[str]:
        name = "python" + version
        return [name, name + "-venv"]

    def rest_of(self, python: str, version: str) -> List[str]:
        # pip needs distutils before Python 3.10.
        more = ["python3-distutils"] if version.startswith("3.9.") else []
        return [python + "-venv", *more]
