"""docs/settings.md, made from the model: the reference cannot say anything else."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from cartwheel.settings import toml_tables, validation

from .checks import RESERVED_PREFIX, RESERVED_VARIABLES
from .mirrors import ALIASES, PRESETS

_INTRODUCTION = """\
# Settings

Made from `cartwheel/settings/toml_tables.py`; a test holds that it is current.

    the defaults below < config/deploy.toml < config/apps/NAME.toml < config/environments/NAME.toml

`config/deploy.toml` describes one application. For more of them, each has a file
`config/apps/NAME.toml` and is chosen with `--app NAME`; `config/deploy.toml` may then
hold what they share. `--env NAME` lays `config/environments/NAME.toml` over it: its
hosts, and what is different there. Tables are merged key by key, lists and values are
replaced. A secret is replaced whole; a variable that one file has in `[env]` and a later
one in `[secrets]` (or the other way round) is what the later file says.

Application and environment together are the name on the host: `shop` in the environment
`staging` is `shop.staging`, with paths, units and a user of its own.

All mistakes are reported at once, with file, line and column, before any connection.

    fab config.check               every app in every environment, without a host
    fab config.show --env live     each setting, its value, and the file and line it comes from
    fab config.schema              the JSON Schema of these files

Editors that know `#:schema` (taplo, Even Better TOML) complete and check a settings file whose
first line is `#:schema ./settings.schema.json`, beside a copy of that schema.
"""

_UNITS = {
    "_seconds": "seconds",
    "_percent": "percent",
    "_bytes_per_second": "bytes a second",
    "client_max_body_size": "bytes",
    "memory_max": "bytes",
}

_AFTER = """\
## Formulas

`gunicorn.workers` is a number, or arithmetic over `cpus`, the host's processors:
numbers, `+ - * / // %`, parentheses, `min()` and `max()`. The value is rounded down and
kept between 1 and `gunicorn.max_workers`.

## Environment variables and secrets

A variable comes from `[env]`, from the dotenv file `env_file`, or from `[secrets]`. The
first and the last win over the dotenv file, in which `$` means nothing. A secret is a
table with exactly one of:

| key | value |
| --- | --- |
{secret}

A command is run by `sh -c` in the project's folder, without input and terminal, for at
most 30 seconds; secrets are read side by side; `fab secrets.check` says which of them can be
read. One newline at the end of a file's or command's output goes. No message shows a value, a
command's text or its output. Another value is another release: to rotate a secret, change it where
it comes from and deploy; a rollback brings the old one back. A variable of your own environment that a secret comes from is not
passed on to anything that Cartwheel starts here: the app's tests, hooks, other commands.

Reserved: {reserved}, and every name that begins with `{prefix}`. The application
finds its own name, release and slot in `CARTWHEEL_APP`, `CARTWHEEL_RELEASE` and
`CARTWHEEL_SLOT`. Values are UTF-8 text without control characters other than tab and
newline, because older versions of systemd drop such variables in silence.

## Mirrors

Names for `index.preset`:

| name | address |
| --- | --- |
{presets}

## Templates

`templates/NAME` in your project is used instead of Cartwheel's own of the same name; it
may extend or include that as `cartwheel/NAME`. A misspelt name is an error with template
and line, before any connection.

| template | becomes |
| --- | --- |
| `gunicorn.conf.py.j2` | `gunicorn.conf.py` in the release; the app's own file is honoured last, but bind, working directory, graceful timeout and error log stay |
| `web.service.j2` | the release's systemd unit, a template (systemd.unit(5)) for all its instances |
| `nginx-site.conf.j2` | `/etc/nginx/conf.d/cartwheel-APP.conf`; it names no release |
| `nginx-balancer.conf.j2` | `/etc/nginx/conf.d/cartwheel-APP_balancer.conf` on a balancer; it has names of its own |
| `logrotate.j2` | `/etc/logrotate.d/cartwheel-APP.conf` |
| `boot.service.j2` | `cartwheel-APP.service`, which starts what serves at boot |
| `maintenance.html.j2` | what nginx shows while nothing answers |

`fab templates.eject NAME` copies one into your `templates/` to change it there; its first line
says which original it was made from. When an upgrade of Cartwheel changes that original, `fab
plan`, `fab deploy` and `fab config.check` say so, until `fab templates.keep NAME`; `fab
templates.diff NAME` shows how both differ.

A template may use: {names}. Filters: `python` (a Python literal), `systemd` (a quoted
word of a unit), `nginx` (a word that needs no escape).

The application runs in `shared/`, which it may write; that folder is last on Python's
import path, so that an upload cannot stand in for a module.
"""


def markdown(template_names: Iterable[str]) -> str:
    """The whole page. `template_names`: what a template may use."""
    tables = [("", toml_tables.Settings)] + [
        (name, table)
        for name, field in toml_tables.Settings.model_fields.items()
        if (table := validation.table_of(field.annotation)) is not None
    ]
    tables += [
        ("inventory.hosts.NAME", toml_tables.InventoryHost),
        ("inventory.groups.NAME", toml_tables.InventoryGroup),
        ("hooks.NAME", toml_tables.Hook),
    ]
    presets = [
        (", ".join([f"`{name}`", *(f"`{a}`" for a, of in ALIASES.items() if of == name)]), url)
        for name, url in PRESETS.items()
    ]
    return "\n".join(
        [
            _INTRODUCTION,
            *(_table(name, table) for name, table in tables),
            _AFTER.format(
                secret="\n".join(
                    f"| `{key}` | {field.description} |"
                    for key, field in toml_tables.Secret.model_fields.items()
                ),
                reserved=", ".join(f"`{name}`" for name in RESERVED_VARIABLES),
                prefix=RESERVED_PREFIX,
                presets="\n".join(f"| {names} | {url} |" for names, url in presets),
                names=", ".join(f"`{name}`" for name in template_names),
            ),
        ]
    )


def _table(name: str, table: type[BaseModel]) -> str:
    title = (
        f"## [{name}]\n\n{(table.__doc__ or '').strip().splitlines()[0]}"
        if name
        else "## Top level"
    )
    rows = [
        f"| `{key}` | {_type(field.annotation)} | {unit(key)} | {_default(field)} "
        f"| {_example(field)} | {field.description} |"
        for key, field in table.model_fields.items()
        if validation.table_of(field.annotation) in (None, toml_tables.Secret)
    ]
    head = ["| key | type | unit | default | example | |", "| --- | --- | --- | --- | --- | --- |"]
    return "\n".join([title, "", *head, *rows, ""])


def unit(key: str) -> str:
    """Of the number that the setting is; "" where it counts what its name says."""
    return next((unit for end, unit in _UNITS.items() if key.endswith(end)), "")


def _type(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Annotated:
        return _type(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        inner = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
        return " or ".join(_type(arg) for arg in inner)
    if typing.get_origin(annotation) is tuple:
        return f"list of {_type(typing.get_args(annotation)[0])}s"
    if typing.get_origin(annotation) is dict:
        return f"table of {_type(typing.get_args(annotation)[1])}s"
    if typing.get_origin(annotation) is Literal:
        return ", ".join(f"`{arg}`" for arg in typing.get_args(annotation))
    names = {
        str: "string",
        int: "integer",
        float: "number",
        bool: "boolean",
        toml_tables.Secret: "secret",
        toml_tables.InventoryHost: "host",
        toml_tables.InventoryGroup: "group",
        toml_tables.Hook: "hook",
    }
    return names[annotation]


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = {} if field.default is PydanticUndefined else field.default
    return "" if value is None else f"`{toml(value)}`"


def toml(value: object) -> str:
    """A default or an example as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(toml(inner) for inner in value) + "]"
    if isinstance(value, dict):
        pairs = [f"{key} = {toml(inner)}" for key, inner in value.items()]
        return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # a basic string of TOML's, too
    return f"{value:g}" if isinstance(value, float) else str(value)


def _example(field: Any) -> str:
    """Where there is no default to learn from."""
    return f"`{toml(field.examples[0])}`" if field.examples else ""
