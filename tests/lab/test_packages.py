"""Further system packages of the settings, by setup and by a word of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel_lab import LabHost
from tests.kit.project import new_project


def installed(host: LabHost, name: str) -> bool:
    done = host.exec(["dpkg-query", "-W", "-f=${db:Status-Status}", name])
    return done.stdout == b"installed"


@pytest.mark.nightly
def test_setup_and_packages_install_what_is_named(host: LabHost, tmp_path: Path) -> None:
    project = new_project(tmp_path, settings='[host]\npackages = ["tree"]\n')
    assert not installed(host, "tree")
    first = project.fab("setup", "-H", host.name)
    assert installed(host, "tree")
    assert "tree" in first.out
    text = (tmp_path / "config/deploy.toml").read_text()
    project.settings(text.replace('["tree"]', '["tree", "mawk", "file"]'))
    second = project.fab("packages", "-H", host.name)
    assert installed(host, "file")
    assert "installed file" in second.out  # and not what was there
    assert "nothing to do" in project.fab("packages", "-H", host.name).out
    # They stay: other things on the host may use them by now.
    project.fab("uninstall", "-H", host.name, "--yes")
    assert installed(host, "tree")
    assert installed(host, "file")
