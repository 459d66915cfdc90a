"""The schema that editors complete from says what the model says: judged by taplo, as they do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from cartwheel.places import own
from cartwheel.settings import schema, toml_tables
from cartwheel.settings.as_toml import toml
from cartwheel.settings.project_files import NEW
from cartwheel.settings.validation import PATTERN_WORDS, table_of

TAPLO = Path(sys.executable).with_name("taplo")
DEPLOY = own("config") / "deploy.toml"
SCHEMA = Path(NEW.schema).name
GOOD = '[app]\nname = "shop"\nsource = "."\n'


def lint(folder: Path, text: str) -> str:
    """What an editor underlines; "" for nothing. The file leads to its schema."""
    (folder / SCHEMA).write_text(schema.text())
    path = folder / "deploy.toml"
    path.write_text(f"#:schema ./{SCHEMA}\n{text}")
    done = subprocess.run(
        [TAPLO, "lint", str(path)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stderr if done.returncode else ""


def fields() -> list[tuple[str, str, Any]]:
    """Every key below its table, with its field."""
    tables: list[tuple[str, type[BaseModel]]] = [
        ("", toml_tables.Settings),
        ("inventory.hosts.web1", toml_tables.InventoryHost),
        ("inventory.groups.eu", toml_tables.InventoryGroup),
        ("files.isso", toml_tables.AppFile),
        ("hooks.tell", toml_tables.Hook),
    ]
    for name, field in toml_tables.Settings.model_fields.items():
        if table := table_of(field.annotation):
            tables.append((name, table))
    return [
        (table, key, field)
        for table, entry in tables
        for key, field in entry.model_fields.items()
        if table_of(field.annotation) in (None, toml_tables.Secret) and key != "environment"
    ]


def examples() -> str:
    """A file with every example there is."""
    text, last = "", ""
    for table, key, field in fields():
        if field.examples:
            text += f"[{table}]\n" if table != last else ""
            text += f"{key} = {toml(field.examples[0])}\n"
            last = table
    return text


def test_every_key_without_a_default_has_an_example() -> None:
    empty = (None, (), "")
    missing = [
        f"{table}.{key}"
        for table, key, field in fields()
        if (field.is_required() or field.default in empty) and not field.examples
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("key", "field"),
    [(f"{table}.{key}", field) for table, key, field in fields() if field.examples],
)
def test_an_example_is_valid(key: str, field: Any) -> None:
    for example in field.examples:
        TypeAdapter(field.annotation).validate_python(example)
        for meta in field.metadata:
            if pattern := getattr(meta, "pattern", None):
                assert re.search(pattern, example), key


def test_editors_take_what_is_good(tmp_path: Path) -> None:
    assert lint(tmp_path, GOOD) == ""
    assert lint(tmp_path, examples()) == ""
    assert lint(tmp_path, DEPLOY.read_text()) == ""
    assert lint(tmp_path, 'hosts = ["web1"]\n[gunicorn]\nworkers = 4\n') == "", "an environment"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[gunicorn]\nworker = 2\n", "worker"),
        ('[web]\nlisten = "80"\n', "not of type"),
        ("[web]\nlisten = 0\n", "minimum"),
        ('[health]\nscheme = "ftp"\n', "is not one of"),
        ('[health]\npath = "healthz"\n', "does not match"),
        ('environment = "live"\n', "environment"),
        ('[secrets]\nKEY = { file = "a", env = "B" }\n', "more than 1 propert"),
        ("[secrets]\nKEY = {}\n", "less than 1 propert"),
        ("[inventory.hosts.web1]\nweigth = 2\n", "weigth"),
        ('[fleet]\ncanary = "ten"\n', "not valid under any"),
    ],
)
def test_editors_see_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    assert says in lint(tmp_path, text)


def test_every_pattern_means_the_same_to_javascript() -> None:
    """JSON Schema's patterns are ECMA 262: no flags, no Python-only syntax."""
    assert [one for one in PATTERN_WORDS if re.search(r"\(\?[^:!=]|\\[AZz]", one)] == []
