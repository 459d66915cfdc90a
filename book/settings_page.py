"""Makes docs/settings.md from the model, so that the reference is always right."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from functools import reduce
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from book.voice import Voice, linked, slug
from cartwheel.settings import toml_tables, validation
from cartwheel.settings.as_toml import toml
from cartwheel.settings.checks import RESERVED_PREFIX, RESERVED_VARIABLES
from cartwheel.settings.descriptions import description
from cartwheel.settings.mirrors import ALIASES, PRESETS
from cartwheel.settings.schema import unit

_INTRODUCTION = """\
# Settings

Every setting, with its default. A value is looked for in these places; the last one that has it
wins:

1. the defaults on this page
2. `cartwheel.toml`
3. `.cartwheel/apps/NAME.toml`, with `--app NAME`
4. `.cartwheel/environments/NAME.toml`, with `--env NAME`

`cartwheel.toml` describes one application. With several applications, each has a file
`.cartwheel/apps/NAME.toml` and is chosen with `--app NAME`; `cartwheel.toml` may then contain
shared settings. `--env NAME` merges `.cartwheel/environments/NAME.toml` on top: the hosts of the
environment, and its different values. These files are no part of the built application. In a
clone of Cartwheel, and in projects of earlier versions, the same files are `config/deploy.toml`,
`config/apps/NAME.toml` and `config/environments/NAME.toml`; both places at once are refused.

Tables are merged key by key, lists and values are replaced. A secret is replaced as a whole. If
one file has a variable in `[env]` and a later file has it in `[secrets]` (or the other way round),
the later file wins.

The name on the host is application and environment together: `shop` in the environment
`staging` is `shop.staging`, with its own paths, units and user.

All mistakes are reported at once, with file, line and column, before any connection.

- `fab config.check` checks every app in every environment, without a host.
- `fab config.show --env live` lists each setting, its value, and the file and line it comes from.
- `fab config.schema` prints the JSON Schema of these files.

Each setting here has an anchor with its name: `settings.md#gunicorn-max-workers`.

Editors that know `#:schema` (taplo, Even Better TOML) complete and check a settings file whose
first line is `#:schema ./.cartwheel/settings.schema.json`. `cartwheel config.init` writes both.
"""

_AFTER = """\
## Formulas

`gunicorn.workers` is a number, or a formula over `cpus`, the number of the host's processors:
numbers, `+ - * / // %`, parentheses, `min()` and `max()`. The value is rounded down and
kept between 1 and `gunicorn.max_workers`.

## Environment variables and secrets

A variable comes from `[env]`, from the dotenv file `env_file`, or from `[secrets]`. `[env]` and
`[secrets]` win over the dotenv file, in which `$` has no special meaning. A secret is a table
with exactly one of:

| key | value |
| --- | --- |
{secret}

A command is run by `sh -c` in the project's folder, without input or terminal, for at most 30
seconds. Secrets are read in parallel; `fab secrets.check` says which of them can be read. One
trailing newline is removed. No message shows a value, a command's text or its output. A changed
value makes a new release: to rotate a secret, change it at its source and deploy; a rollback
restores the old value. If a secret comes from a variable of your own environment, Cartwheel does
not pass this variable on to the programs that it starts here, such as the app's tests and hooks.

Reserved: {reserved}, and every name that begins with `{prefix}`. The application
finds its own name, release and slot in `CARTWHEEL_APP`, `CARTWHEEL_RELEASE` and
`CARTWHEEL_SLOT`, the folder of its installed code in `CARTWHEEL_CODE`, and its shared folder, which
outlives releases, in `CARTWHEEL_SHARED`. Values are UTF-8 text
without control characters other than tab and newline, because older versions of systemd silently
drop such variables.

## Files of configuration

Each table [files.NAME] is one file of a release: a template, or a secret that is the whole file.

```toml
[files."isso.cfg"]
template = "deploy/isso.cfg.j2"
variable = "ISSO_SETTINGS"                   # gets the file's path

[files."shared/token.json"]
secret = {{ file = "~/.config/shop/token.json" }}
```

`variable` is an environment variable with the path of the file in its own release. A name in
`shared/` also makes a link there, which leads to the live release through `current`: for programs
that look in their working directory. Until the switch that link leads to the old release, so an
application that reads the file at its start should get its path from `variable`. Files belong to
root and the app's group (`owner`, `mode`); they change and roll back with the release. `fab plan`
shows what changes in a template that holds no secret; nothing shows a secret. A template may use
`settings`, `app`, `user`, `group`, `root`, `shared` and `env`, the application's variables with
their secret values.

## Static files and media

```toml
[web.static]
"/static/" = "shop/static"                      # a folder among the installed packages
"/assets/" = {{ command = "python manage.py collectstatic --noinput" }}

[web.media]
"/media/" = "media"                             # a folder of /srv/APP/shared
```

See [static.md](static.md) for caching, compression, and what is refused.
With a command the application finds its folder in `STATIC_ROOT`, which is then reserved.

## Mirrors

Names for `index.preset`:

| name | URL |
| --- | --- |
{presets}

## Templates

`.cartwheel/templates/NAME` in your project (beside `config/deploy.toml`: `templates/NAME`) replaces
the built-in template of the same name; it may extend or include the built-in one as
`cartwheel/NAME`. A misspelt name is an error with template and line,
before any connection.

| template | becomes |
| --- | --- |
| `gunicorn.conf.py.j2` | `gunicorn.conf.py` in the release; the app's own file is applied \
last, but cannot change bind, working directory, graceful timeout and error log |
| `web.service.j2` | the release's systemd unit, a template (systemd.unit(5)) for all its \
instances |
| `nginx-site.conf.j2` | `/etc/nginx/conf.d/cartwheel-APP.conf`; it names no release |
| `nginx-static.conf.j2` | the parts of that site for static files, media and compression |
| `nginx-tls.conf.j2` | `/srv/APP/tls/site.conf`, which the site includes ([tls]), or on a \
balancer `balancer.conf` there; it may also use `tls` |
| `nginx-door-maps.conf.j2`, `nginx-door.conf.j2` | what the site includes for [web.paths] and \
`web.rate_limit`: outside of its server block, and inside |
| `nginx-challenge.conf.j2` | the challenges of an authority (tls.acme), for the site and for \
redirected names |
| `nginx-redirect.conf.j2` | what the site includes for `web.redirect_names` |
| `nginx-balancer.conf.j2` | `/etc/nginx/conf.d/cartwheel-APP_balancer.conf` on a balancer; \
it uses other names than the other templates |
| `logrotate.j2` | `/etc/logrotate.d/cartwheel-APP.conf` |
| `boot.service.j2` | `cartwheel-APP.service`, which starts the live release at boot |
| `nginx-maintenance.conf.j2` | the part of the site that looks whether it is closed |
| `nginx-maintenance-site.conf.j2`, `nginx-maintenance-allow.conf.j2` | what the site includes for \
minutes and addresses of `fab maintenance.on`; they may also use `minutes` and `allow` |
| `maintenance.html.j2` | the page for visitors, once for each `lang`, while the app does not \
answer or the site is closed ([maintenance.md](maintenance.md)) |

`fab templates.eject NAME` copies a template into your project, where you can change it; its first
line identifies the original. When an upgrade of Cartwheel changes the original, `fab plan`, `fab
deploy` and `fab config.check` say so, until you run `fab templates.keep NAME`; `fab templates.diff
NAME` compares the two.

A template may use: {names}. Filters: `python` (a Python literal), `systemd` (a quoted
word of a unit), `nginx` (a word that needs no escape).

The application runs in `shared/`, where it may write; that folder is last on Python's import path,
so that an uploaded file cannot replace a module.
"""


def page(template_names: Iterable[str], voice: Voice) -> str:
    """The whole page. `template_names` are the names that a template may use."""
    say = voice.say
    presets = [
        (voice.listed([f"`{name}`", *(f"`{a}`" for a, of in ALIASES.items() if of == name)]), url)
        for name, url in PRESETS.items()
    ]
    after = voice.markdown(_AFTER).format(
        secret="\n".join(
            voice.row(f"`{key}`", linked(say(description(toml_tables.Secret, key))))
            for key in toml_tables.Secret.model_fields
        ),
        reserved=voice.listed(f"`{name}`" for name in RESERVED_VARIABLES),
        prefix=RESERVED_PREFIX,
        presets="\n".join(voice.row(names, url) for names, url in presets),
        names=voice.listed(f"`{name}`" for name in template_names),
    )
    parts = [voice.markdown(_INTRODUCTION), *(_table(*one, voice) for one in tables()), after]
    return "\n\n".join(parts) + "\n"


def tables() -> list[tuple[str, type[BaseModel]]]:
    """The name of each table of the settings, in the page's order, and its model."""
    return [
        ("", toml_tables.Settings),
        *(
            (name, table)
            for name, field in toml_tables.Settings.model_fields.items()
            if (table := validation.table_of(field.annotation)) is not None
        ),
        ('web.paths."/PATH/"', toml_tables.WebPath),
        ("inventory.hosts.NAME", toml_tables.InventoryHost),
        ("inventory.groups.NAME", toml_tables.InventoryGroup),
        ("web.static.URL", toml_tables.StaticFiles),
        ("files.NAME", toml_tables.AppFile),
        ("processes.NAME", toml_tables.Process),
        ("processes.NAME.hardening", toml_tables.ProcessHardening),
        ("timers.NAME", toml_tables.Timer),
        ("timers.NAME.hardening", toml_tables.ProcessHardening),
        ("hooks.NAME", toml_tables.Hook),
    ]


def _table(name: str, table: type[BaseModel], voice: Voice) -> str:
    say = voice.say
    if name:
        about = " ".join((table.__doc__ or "").split("\n\n")[0].split())
        title = f"## [{name}]\n\n{linked(say(about))}"
    else:
        title = voice.heading(2, "Top level")
    rows = [
        voice.row(
            f'<a id="{slug(f"{name}.{key}")}"></a>`{key}`',
            _type(field.annotation, voice),
            say(unit(key)) if unit(key) else "",
            _default(field, voice),
            _example(field),
            linked(say(description(table, key))),
        )
        for key, field in table.model_fields.items()
        if validation.table_of(field.annotation) in (None, toml_tables.Secret)
    ]
    head = voice.head("key", "type", "unit", "default", "example", "meaning")
    return "\n".join([title, "", *head, *rows])


# One of them, and several.
_NAMES: dict[object, tuple[str, str]] = {
    str: ("string", "strings"),
    int: ("integer", "integers"),
    float: ("number", "numbers"),
    bool: ("boolean", "booleans"),
    toml_tables.Secret: ("secret", "secrets"),
    toml_tables.WebPath: ("path", "paths"),
    toml_tables.InventoryHost: ("host", "hosts"),
    toml_tables.InventoryGroup: ("group", "groups"),
    toml_tables.Hook: ("hook", "hooks"),
    toml_tables.Process: ("process", "processes"),
    toml_tables.ProcessHardening: ("table", "tables"),
    toml_tables.Timer: ("timer", "timers"),
    toml_tables.AppFile: ("file", "files"),
    toml_tables.StaticFiles: ("folder or table", "folders or tables"),
}


# Any: an annotation may be of every kind, not only a class.
def _type(annotation: Any, voice: Voice, several: bool = False) -> str:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(inner[0], voice, several)
    if origin in (types.UnionType, typing.Union):
        kinds = [_type(one, voice, several) for one in inner if one is not type(None)]
        either = voice.say("{one} or {other}")
        return reduce(lambda one, other: either.format(one=one, other=other), kinds)
    if origin is tuple:
        return voice.say("list of {several}").format(several=_type(inner[0], voice, True))
    if origin is dict:
        return voice.say("table of {several}").format(several=_type(inner[1], voice, True))
    if origin is Literal:
        return voice.listed(f"`{one}`" for one in inner)
    return voice.say(_NAMES[annotation][several])


def _default(field: FieldInfo, voice: Voice) -> str:
    if field.is_required():
        return voice.say("required")
    return "" if field.default is None else f"`{toml(field.default)}`"


def _example(field: FieldInfo) -> str:
    """The example of a setting without a default."""
    return f"`{toml(field.examples[0])}`" if field.examples else ""
