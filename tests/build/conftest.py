from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cartwheel.build.products import Platform
from cartwheel.events import Event
from cartwheel.settings.toml_tables import Settings
from tests.build.indexes import LocalIndex, serve

BOOKWORM = Platform("3.11.2", "glibc", "2.36", "x86_64")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[LocalIndex]:
    folder = tmp_path / "index"
    folder.mkdir()
    with serve(folder) as found:
        yield found


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, so that nothing of an earlier test answers for an index."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return cache


@pytest.fixture
def lonely(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the index that the settings name: no pip configuration of this machine."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


class Heard(list[Event]):
    """Every event of a build."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    def states(self, step: str) -> list[str]:
        return [event.state for event in self if event.step == step]


@pytest.fixture
def heard() -> Heard:
    return Heard()


def settings_for(source: Path | str, **tables: object) -> Settings:
    app = {"name": "demo", "source": str(source)}
    extra = tables.pop("app", {})
    assert isinstance(extra, dict)
    return Settings.model_validate({"app": {**app, **extra}, **tables})
