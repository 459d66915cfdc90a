"""Files of configuration of the application: which of them a plan may show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cartwheel.commands.placed import placed_files
from cartwheel.hidden import Hidden
from cartwheel.settings.toml_tables import Settings
from cartwheel.settings.variables import Variable
from tests.unit.commands.test_deploy import SCENE

VARIABLES = {
    "MODE": Variable("MODE", Hidden("fast"), "settings", secret=False),
    "TOKEN": Variable("TOKEN", Hidden("hunter2:token"), "secret command", secret=True),
    "KEPT": Variable("KEPT", Hidden("hunter2"), "dotenv", secret=True),
}


@pytest.mark.parametrize(
    ("template", "text", "secret"),
    [
        ("app={{ app }}\n", "app=shop\n", False),
        ("{{ env.MODE }}\n", "fast\n", False),
        ("{{ env.TOKEN }}", "hunter2:token", True),
        ("{{ env.KEPT }}", "hunter2", True),
        ("{{ env.TOKEN | urlencode }}", "hunter2%3Atoken", True),
        ("{{ env.TOKEN.split(':')[1] }}", "token", True),
        ("{{ env | length }}", "3", False),
        ("{% for one in env.values() %}{{ one[0] }}{% endfor %}", "fhh", True),
    ],
)
def test_a_template_with_a_secret_is_a_secret(
    tmp_path: Path, template: str, text: str, secret: bool
) -> None:
    (tmp_path / "shop.ini").write_text(template)
    settings = Settings.model_validate(
        {
            "app": {"name": "shop", "source": "."},
            "env": {"MODE": "fast"},
            "files": {"shop.ini": {"template": "shop.ini"}},
        }
    )
    scene = replace(SCENE, project=tmp_path, settings=settings)
    one = placed_files(scene, VARIABLES)["shop.ini"]
    assert (one.content.reveal(), one.secret) == (text, secret)


def test_a_file_that_is_a_secret(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "app": {"name": "shop", "source": "."},
            "files": {"shared/token": {"secret": {"command": "echo hunter2"}}},
        }
    )
    one = placed_files(replace(SCENE, project=tmp_path, settings=settings), {})["token"]
    assert (one.content.reveal(), one.secret, one.link) == ("hunter2", True, "token")
