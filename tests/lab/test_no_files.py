"""On a real host: links of the administrator's are followed, and what is no file stays one."""

from __future__ import annotations

import pytest

from cartwheel.errors import CATALOGUE, Exit
from cartwheel_lab import LabHost
from tests.kit.host import current, get
from tests.kit.project import Project, new_project


@pytest.mark.nightly
def test_links_are_followed_and_a_pipe_stays(
    module_host: LabHost, tmp_path_factory: pytest.TempPathFactory
) -> None:
    host = module_host
    project = new_project(tmp_path_factory.mktemp("shop"))
    there = ("-H", host.name)
    project.fab("setup", *there)
    project.fab("deploy", *there)
    site = host.sh("ls /etc/nginx/conf.d/*shop*").strip()
    rotation = host.sh("ls /etc/logrotate.d/*shop*").strip()
    _move_away(host, site, rotation)
    text = (project.folder / "config/deploy.toml").read_text()
    project.settings(f'{text}[web]\nserver_names = ["shop.example"]\n')
    project.app("two")
    project.fab("deploy", *there)
    assert get(host, name="shop.example") == "two"
    for path in (site, rotation):
        assert host.sh(f"readlink {path}").strip() == _away(path)
    assert "shop.example" in host.sh(f"cat {_away(site)}")
    _goes_back_through_the_link(host, project, site)
    _is_refused_where_there_is_a_pipe(host, project, site)
    project.settings(text)


def _away(path: str) -> str:
    return f"/srv/config{path.replace('/', '-')}"


def _move_away(host: LabHost, *paths: str) -> None:
    for path in paths:
        host.sh(f"mkdir -p /srv; mv {path} {_away(path)} && ln -s {_away(path)} {path}")


def _goes_back_through_the_link(host: LabHost, project: Project, site: str) -> None:
    """A release that falls ill with another site: what was behind the link is there again."""
    before = host.sh(f"cat {site}")
    serves = current(host, "shop")
    text = (project.folder / "config/deploy.toml").read_text()
    project.settings(
        text.replace("shop.example", "other.example")
        + '[hooks.smoke]\nafter = "switch"\ncommand = "exit 1"\n'
    )
    project.app("three")
    project.fab("deploy", "-H", host.name, code=Exit.REVERTED)
    project.settings(text)
    assert current(host, "shop") == serves
    assert host.sh(f"cat {site}") == before
    assert host.sh(f"test -L {site} && echo a link") == "a link\n"


def _is_refused_where_there_is_a_pipe(host: LabHost, project: Project, site: str) -> None:
    serves = current(host, "shop")
    text = (project.folder / "config/deploy.toml").read_text()
    host.sh(f"rm {site}; mkfifo {site}")
    try:
        project.settings(text.replace("shop.example", "other.example"))
        project.app("four")
        done = project.fab("deploy", "-H", host.name, code=None)
        assert done.code == Exit.FAILED
        assert f"{site} is a pipe, not a file" in done.text
        assert f"CW{CATALOGUE['not-ours'].number}" in done.text
        assert host.sh(f"test -p {site} && echo a pipe") == "a pipe\n"
        assert current(host, "shop") == serves
    finally:
        host.sh(f"rm {site}; ln -s {_away(site)} {site}")
        project.settings(text)
