"""The merged settings, as `fab config.show` shows them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cartwheel.settings.loading import load_placed
from cartwheel.settings.shown import lines, of_hosts
from cartwheel.settings.toml_tables import Settings
from tests.kit.project import new_project
from tests.unit.settings.test_load import MINIMAL, write

DEPLOY = f"""{MINIMAL}
[web]
server_names = ["shop.example"]
[secrets]
KEY = {{ command = "pass show shop/key" }}
TOKEN = {{ file = "~/token" }}
[env]
MODE = "a \\"b\\""
[inventory.hosts.web1]
weight = 2
"""


def shown(project: Path, env: str | None = None) -> dict[str, tuple[str, str]]:
    return {one.key: (one.value, one.place) for one in lines(load_placed(project, None, env))}


def test_every_value_says_where_it_comes_from(tmp_path: Path) -> None:
    write(tmp_path, deploy=DEPLOY, environments_live='[web]\nlisten = 81\n[env]\nMODE = "x"\n')
    found = shown(tmp_path, "live")
    assert found["app.name"] == ('"shop"', "config/deploy.toml:2:1")
    assert found["environment"] == ('"live"', "--env")
    assert found["web.listen"] == ("81", "config/environments/live.toml:2:1")
    assert found["web.server_names"] == ('["shop.example"]', "config/deploy.toml:6:1")
    assert found["env.MODE"] == ('"x"', "config/environments/live.toml:4:1")
    assert found["deploy.drain_seconds"] == ("30", "default")
    assert found["inventory.hosts.web1.weight"] == ("2", "config/deploy.toml:13:1")
    assert found["inventory.groups"] == ("{}", "default")
    assert "web.static_url" not in found, "what has no value"


def test_a_string_for_static_files_is_where_their_folder_comes_from(tmp_path: Path) -> None:
    table = '"/b/" = { folder = "y", immutable = true }'
    write(tmp_path, deploy=f'{DEPLOY}[web.static]\n"/a/" = "x"\n{table}\n')
    found = shown(tmp_path, None)
    line = DEPLOY.count("\n") + 2
    assert found['web.static."/a/".folder'] == ('"x"', f"config/deploy.toml:{line}:1")
    assert found['web.static."/a/".immutable'] == ("false", "default")
    assert found['web.static."/b/".immutable'][1].startswith(f"config/deploy.toml:{line + 1}:")


def test_settings_that_shape_what_hosts_run() -> None:
    """Those that differ from their defaults, and nothing of the way to the hosts."""
    settings = Settings.model_validate(
        {
            "app": {"name": "shop", "source": "."},
            "gunicorn": {"threads": 4, "timeout_seconds": 30},
            "web": {"server_names": ["a", "b"]},
            "ssh": {"password": {"env": "WORD"}},
            "env": {"MODE": "x"},
            "hooks": {"tell": {"after": "run", "command": "x"}},
        }
    )
    assert of_hosts(settings) == {
        "app.name": '"shop"',
        "app.source": '"."',
        "gunicorn.threads": "4",
        "web.server_names": '["a", "b"]',
    }


def test_values_are_toml(tmp_path: Path) -> None:
    write(tmp_path, deploy=DEPLOY)
    assert shown(tmp_path)["env.MODE"][0] == '"a \\"b\\""'


def test_a_secret_says_where_it_is_and_a_command_not_even_that(tmp_path: Path) -> None:
    """The text of a command may itself be one."""
    write(tmp_path, deploy=DEPLOY)
    found = shown(tmp_path)
    assert found["secrets.KEY"] == ("secret command", "config/deploy.toml:8:1")
    assert found["secrets.TOKEN"] == ("secret file ~/token", "config/deploy.toml:9:1")


def test_the_words(tmp_path: Path) -> None:
    """Typed as a person does, without a host anywhere."""
    project = new_project(tmp_path / "project")
    project.settings(DEPLOY)
    shown = project.fab("config.show", "--written").out.splitlines()
    assert shown[0].split() == ["KEY", "VALUE", "FROM"]
    assert shown[1].split() == ["app.name", '"shop"', "config/deploy.toml:2:1"]
    assert len(shown) < 12
    assert len(project.fab("config.show").out.splitlines()) > 70
    assert "shop" in project.fab("config.check").out
    assert json.loads(project.fab("config.schema").out)["title"] == "Cartwheel's settings"
    project.settings(DEPLOY.replace("weight", "weigth").replace("[web]", "[wbe]"))
    for words in (["config.show"], ["config.check"]):
        done = project.fab(*words, code=2)
        assert "config/deploy.toml:5:2: wbe: unknown key; did you mean web?" in done.err
        assert "config/deploy.toml:13:1: inventory.hosts.web1.weigth: unknown key" in done.err


def test_the_check_reads_the_dotenv_file_too(tmp_path: Path) -> None:
    project = new_project(tmp_path / "project")
    project.settings('env_file = ".env"\n' + DEPLOY)
    project.write(".env", "GOOD=1\nno value\nLD-X=1\n")
    done = project.fab("config.check", code=2)
    assert ".env:2: expected NAME=VALUE" in done.err
    assert ".env:3: expected a name of letters, digits and `_`" in done.err
    (project.folder / ".env").unlink()
    assert "No such file or directory" in project.fab("config.check", code=2).err


@pytest.mark.parametrize(
    "words",
    [("prune", "--keep", "0"), ("deploy", "--parallel", "0"), ("deploy", "--parallel", "\u00b2")],
)
def test_a_number_that_means_nothing_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    project = new_project(tmp_path / "project")
    done = project.fab(*words, "-H", "web1", code=2)
    assert f"{words[1]} takes a number of at least 1, not '{words[2]}'" in done.err
