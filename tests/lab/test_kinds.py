"""A new kind is one file and one line where kinds are listed: made here as a stranger would."""

from __future__ import annotations

from pathlib import Path

from cartwheel_lab import LabHost
from tests.kit.project import copied_checkout, fabfile, new_project

# A distribution with a package manager of its own, as far as Cartwheel can tell.
BOX_PROGRAM = """#!/bin/sh
set -e
case "$1" in
  has) test "$(dpkg-query -W -f='${db:Status-Status}' "$2" 2>/dev/null)" = installed ;;
  add) shift; apt-for-box -qq update; DEBIAN_FRONTEND=noninteractive apt-for-box -qq -y install "$@" ;;
esac
"""
BOX_KIND = '''"""box: a distribution of the tests."""

from __future__ import annotations

from typing import List, Sequence

from cartwheel.host.system import children
from cartwheel.host.system.context import Context, OpError


class Box:
    """A kind of package manager (`manager.PackageManager`)."""

    command = "box"
    web_packages = ("nginx", "iproute2")
    python_script = "box add python3\\n"

    def missing(self, names: Sequence[str]) -> List[str]:
        return [n for n in names if children.ask(["box", "has", n], timeout_seconds=9).status]

    def install(self, ctx: Context, names: Sequence[str]) -> None:
        done = children.run(ctx, ["box", "add", *names], timeout_seconds=300)
        if done.status != 0:
            raise OpError("packages", "box: " + done.output.strip().splitlines()[-1])

    def python(self, version: str) -> List[str]:
        return ["python" + version, "python" + version + "-venv"]

    def rest_of(self, python: str, version: str) -> List[str]:
        return [python + "-venv"]
'''
ONE_LINE = (
    "cartwheel/host/packages/kinds.py",
    "(Apt(),)",
    "(Apt(), __import__('cartwheel.host.packages.box', fromlist=['Box']).Box())",
)


def test_a_package_manager(host: LabHost, tmp_path: Path) -> None:
    """It prepares a host, serves `fab packages`, and says its own reason; without it the host is
    refused by name."""
    project = new_project(tmp_path / "project", settings='[host]\npackages = ["tree"]\n')
    host.sh("mv /usr/bin/apt-get /usr/bin/apt-for-box")
    try:
        refused = project.fab("setup", "-H", host.name, code=1)
        assert "CW404" in refused.text
        assert "supported so far: apt-get" in refused.text
        checkout = copied_checkout(tmp_path / "checkout", [ONE_LINE])
        (checkout / "cartwheel/host/packages/box.py").write_text(BOX_KIND)
        project.write("fabfile.py", fabfile(checkout))
        host.sh(f"cat > /usr/bin/box <<'E'\n{BOX_PROGRAM}E\nchmod 755 /usr/bin/box")
        first = project.fab("setup", "-H", host.name)
        assert "installed nginx" in first.text
        assert "installed tree" in first.text
        project.fab("deploy", "-H", host.name)
        text = (project.folder / "config/deploy.toml").read_text()
        project.settings(text.replace('["tree"]', '["tree", "no-such-package"]'))
        unknown = project.fab("packages", "-H", host.name, code=1)
        assert "box: " in unknown.text
        assert "no-such-package" in unknown.text
    finally:
        host.sh("mv /usr/bin/apt-for-box /usr/bin/apt-get")
