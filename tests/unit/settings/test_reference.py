"""What is written about the settings is what they are."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from book.settings_page import tables
from book.voice import slug
from cartwheel.places import own
from cartwheel.settings import toml_tables
from cartwheel.settings.descriptions import description
from cartwheel.settings.loading import load
from cartwheel.settings.toml_tables import Settings
from cartwheel.settings.validation import PATTERN_WORDS, known_keys, table_of

PROJECT = Path(__file__).parents[3]
DEPLOY = own("config") / "deploy.toml"
COMMENTED = re.compile(r"^# (\w+) = (.+)$")

FIELDS = {".".join(key): field for key, field in known_keys()}


def commented() -> Iterator[tuple[str, Any]]:
    """Every `# key = value` of config/deploy.toml, with its table."""
    table = ""
    for line in DEPLOY.read_text().splitlines():
        if line.startswith("["):
            table = line.strip("[]") + "."
        found = COMMENTED.match(line)
        if found and table not in ("env.", "secrets."):
            yield table + found.group(1), tomllib.loads(f"value = {found.group(2)}")["value"]


@pytest.mark.parametrize(("key", "value"), list(commented()), ids=str)
def test_a_commented_default_is_the_models(key: str, value: Any) -> None:
    default = FIELDS[key].default
    if default not in (None, {}) and not (
        default == () and value
    ):  # else the line is an example, and valid below
        assert (list(default) if isinstance(default, tuple) else default) == value


def test_the_file_shows_every_setting() -> None:
    written = {key for key, _ in commented()}
    given = {
        f"{table}.{key}"
        for table, keys in tomllib.loads(DEPLOY.read_text()).items()
        for key in keys
    }
    tables = {"environment", "env", "secrets", "inventory.hosts", "inventory.groups", "hooks"}
    tables |= {"files", "processes", "timers", "web.paths"}
    assert written | given | tables == set(FIELDS)


def test_the_examples_in_the_file_are_valid(tmp_path: Path) -> None:
    alternatives: tuple[str, ...] = ("# static_", "# preset", "# host_", "# page_host_", "# mail")
    alternatives += ('# url = "https://pypi', '# directory = "https')
    text = "\n".join(
        line[2:] if COMMENTED.match(line) and not line.startswith(alternatives) else line
        for line in DEPLOY.read_text().splitlines()
    )
    (tmp_path / "config").mkdir()
    (tmp_path / "config/deploy.toml").write_text(text)
    assert load(tmp_path, None, None).secrets["SECRET_KEY"].file


def test_cartwheels_own_settings_deploy_the_hello_example() -> None:
    settings = load(PROJECT, None, None)
    assert (settings.app.name, settings.app.entry) == ("hello", "hello:app")
    assert (PROJECT / settings.app.source).is_dir()


def test_every_setting_has_its_own_anchor_in_both_languages() -> None:
    for page in (PROJECT / "docs/settings.md", PROJECT / "docs/zh/settings.md"):
        anchors = re.findall(r'<a id="([^"]+)"></a>', page.read_text())
        assert len(anchors) == len(set(anchors))
        wanted = {
            slug(f"{name}.{key}")
            for name, table in tables()
            for key, field in table.model_fields.items()
            if table_of(field.annotation) in (None, toml_tables.Secret)
        }
        assert wanted - set(anchors) == set()


def test_every_setting_is_described() -> None:
    described = [
        description(model, key)
        for model in vars(toml_tables).values()
        if isinstance(model, type) and issubclass(model, toml_tables.Model)
        for key, field in model.model_fields.items()
        if table_of(field.annotation) in (None, toml_tables.Secret)
    ]
    assert len(described) > 100
    assert all(described)


def patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        yield from schema.get("patternProperties", {})
        for inner in schema.values():
            yield from patterns(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from patterns(inner)


def test_every_pattern_has_words() -> None:
    assert set(patterns(Settings.model_json_schema())) == set(PATTERN_WORDS)
