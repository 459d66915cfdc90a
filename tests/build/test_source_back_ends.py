"""Real back ends write addresses into what they build: each leads back to the source's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.build.artifact import build_app
from cartwheel.build.order import Order
from cartwheel.build.wheel import read_metadata
from cartwheel.events import silent
from tests.build.conftest import settings_for
from tests.build.packages import write

pytestmark = pytest.mark.build

BACK_ENDS = {
    "hatchling": (
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "shop"\nversion = "1"\ndependencies = ["money @ {root:uri}/../money"]\n'
        "[tool.hatch.metadata]\nallow-direct-references = true\n"
    ),
    "poetry-core": (
        '[build-system]\nrequires = ["poetry-core>=2"]\nbuild-backend = "poetry.core.masonry.api"\n'
        '[tool.poetry]\nname = "shop"\nversion = "1"\ndescription = ""\nauthors = []\n'
        '[tool.poetry.dependencies]\npython = ">=3.9"\n'
        'money = { path = "../money", develop = true }\n'
    ),
    "pdm-backend": (
        '[build-system]\nrequires = ["pdm-backend"]\nbuild-backend = "pdm.backend"\n'
        '[project]\nname = "shop"\nversion = "1"\n'
        'dependencies = ["money @ file:///${PROJECT_ROOT}/../money"]\n'
    ),
    "setuptools": (
        '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
    ),
}
SETUP = """
from pathlib import Path
from setuptools import setup
beside = Path.cwd().parent / "money"
setup(name="shop", version="1", packages=["shop"], install_requires=["money @ " + beside.as_uri()])
"""


@pytest.mark.parametrize("back_end", sorted(BACK_ENDS))
def test_an_address_that_a_back_end_made(back_end: str, tmp_path: Path) -> None:
    shop = tmp_path / "a folder" / "shop"
    write(shop / "pyproject.toml", BACK_ENDS[back_end])
    write(shop / "shop" / "__init__.py")
    if back_end == "setuptools":
        write(shop / "setup.py", SETUP)
    settings = settings_for(shop, app={"name": "shop"})
    artifact = build_app(Order(settings, tmp_path, tmp_path / "state", silent))
    [reference] = artifact.references
    assert reference.replace("money@", "money @") == "money @ file:../money"
    assert read_metadata(artifact.wheel).requires_dist == ("money",)
