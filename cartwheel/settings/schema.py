"""The settings as JSON Schema, for editors that complete (taplo, Even Better TOML).

All settings files share one schema. They are merged, so no key is required in any of them.
"""

from __future__ import annotations

import json

from cartwheel.decoded import Table
from cartwheel.settings import toml_tables

from .descriptions import description

_UNITS = {
    "_seconds": "seconds",
    "_percent": "percent",
    "_bytes_per_second": "bytes per second",
    "client_max_body_size": "bytes",
    "memory_max": "bytes",
}


def text() -> str:
    """The content of the file `ProjectFiles.schema`."""
    return json.dumps(json_schema(), indent=1) + "\n"


def json_schema() -> Table:
    """JSON Schema, draft 2020-12, of a settings file."""
    whole = toml_tables.Settings.model_json_schema()
    del whole["properties"]["environment"]  # it is chosen with --env
    for name, table in (("Settings", whole), *whole["$defs"].items()):
        del table["title"]
        table.pop("required", None)
        model = getattr(toml_tables, name)
        table["properties"] = {
            key: _property(key, said, description(model, key))
            for key, said in table["properties"].items()
        }
    whole["$defs"]["Secret"] |= {"minProperties": 1, "maxProperties": 1}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Cartwheel's settings",
        **whole,
    }


def _property(key: str, said: Table, description: str) -> Table:
    """The schema of one setting without null, which TOML lacks, and with its unit."""
    kept = {name: value for name, value in said.items() if name != "title"}
    if "default" in kept and kept["default"] is None:
        del kept["default"]
    if description:
        kept["description"] = f"{description} In {unit(key)}." if unit(key) else description
        kept = dict(sorted(kept.items()))
    kinds = [kind for kind in kept.pop("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1:
        kept |= kinds[0]
    elif kinds:
        kept["anyOf"] = kinds
    return kept


def unit(key: str) -> str:
    """The unit of a number; "" if the setting's name already says what it counts."""
    return next((unit for end, unit in _UNITS.items() if key.endswith(end)), "")
