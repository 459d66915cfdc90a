"""What is made from beside the project is looked at as the application's own wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.build.artifact import build_app
from cartwheel.build.lock import lock_for, pins
from cartwheel.build.order import Order
from cartwheel.errors import BuildError
from cartwheel.events import silent
from cartwheel.settings.named import NamedFile
from cartwheel.settings.toml_tables import Settings
from tests.build.conftest import BOOKWORM, settings_for
from tests.build.indexes import LocalIndex
from tests.build.packages import package, write
from tests.kit.wheels import wheel_names

pytestmark = [pytest.mark.build, pytest.mark.usefixtures("lonely")]

BODY = "MIIEpAIBAAKCAQEA" * 4
KEY = f"-----BEGIN PRIVATE KEY-----\\n{BODY}\\n-----END PRIVATE KEY-----\\n"


def test_what_is_made_here_carries_no_key_unless_it_is_allowed(
    tmp_path: Path, state: Path, index: LocalIndex
) -> None:
    index.add("gunicorn", "23.0")
    package(tmp_path / "money", "money")
    write(tmp_path / "money" / "money" / "__init__.py", f'KEY = "{KEY}"\n')
    tool = '[tool.uv.sources]\nmoney = { path = "../money" }'
    package(tmp_path / "shop", "shop", requires='"money"', tool=tool)

    def settings(**app: object) -> Settings:
        return settings_for("shop", app={"entry": "shop:app", **app}, index={"url": index.url})

    artifact = build_app(Order(settings(), tmp_path, state, silent))
    with pytest.raises(BuildError) as caught:
        lock_for(Order(settings(), tmp_path, state, silent), artifact, BOOKWORM)
    assert caught.value.slug == "private-file"
    assert "contains money/__init__.py (a private key)" in caught.value.message
    assert "shop/pyproject.toml:" in caught.value.message
    assert BODY not in caught.value.message + caught.value.detail
    allowed = settings(include=["money/__init__.py"])
    lock = lock_for(Order(allowed, tmp_path, state, silent), artifact, BOOKWORM)
    assert [one.name for one in lock.wheels] == ["money"]
    assert set(pins(lock.text)) == {"gunicorn"}


def test_what_is_made_here_goes_without_a_file_that_an_inventory_names(
    tmp_path: Path, state: Path, index: LocalIndex
) -> None:
    index.add("gunicorn", "23.0")
    package(tmp_path / "money", "money")
    login = tmp_path / "money" / "money" / "login.py"
    write(login, "WHERE = 1\n")
    tool = '[tool.uv.sources]\nmoney = { path = "../money" }'
    package(tmp_path / "shop", "shop", requires='"money"', tool=tool)
    settings = settings_for("shop", app={"entry": "shop:app"}, index={"url": index.url})
    private = [NamedFile("the inventory's web1", login)]
    artifact = build_app(Order(settings, tmp_path, state, silent, private=private))
    lock = lock_for(Order(settings, tmp_path, state, silent, private=private), artifact, BOOKWORM)
    (money,) = lock.wheels
    assert "money/__init__.py" in wheel_names(money.wheel)
    assert "money/login.py" not in wheel_names(money.wheel)
