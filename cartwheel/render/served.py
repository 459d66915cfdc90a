"""What the web server serves itself, as its templates need it (docs/static.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cartwheel.host.wire.manifest import MADE
from cartwheel.settings import served
from cartwheel.settings.toml_tables import Settings

# What tools write into names, in the syntax that Python and PCRE share. No usual name may look like
# one, so it is better to miss a hash. Both have a digit with a letter after it; one in hexadecimal
# has a usual length (Django, webpack, Parcel), one in base64 has no three small letters in a row
# (Vite, Rollup).
_HEX = "(?=[0-9a-f]*[0-9][a-f])(?:{})".format(
    "|".join(f"[0-9a-f]{{{length}}}" for length in (8, 10, 12, 16, 20, 32, 40, 64))
)
_BASE64 = r"(?=\w*[0-9][A-Za-z])(?=\w*[A-Z])(?=\w*[a-z])(?!\w*[a-z]{3})[A-Za-z0-9_]{8}"
_EXTENSIONS = r"(?:\.[A-Za-z][A-Za-z0-9]*){1,3}"
HASHED_NAME = rf"(?:[/.-](?:{_HEX})|[.-](?:{_BASE64})){_EXTENSIONS}$"
"""Matches the end of a path whose file has another name when its content changes."""


@dataclass(frozen=True)
class ServedFiles:
    """`pattern` matches a path below the URL and names its rest `cartwheel_file`; `files` is the
    folder in a release. `kind` says how it is cached."""

    url: str
    pattern: str
    files: str
    kind: str


@dataclass(frozen=True)
class ServedMedia:
    """The same for a folder in `shared/`."""

    url: str
    pattern: str
    folder: str


def static(settings: Settings, packages: str) -> tuple[ServedFiles, ...]:
    """`packages`: the folder of packages in a release."""
    prefix = settings.web.prefix
    return tuple(
        ServedFiles(
            prefix + one.url,
            pattern(prefix + one.url),
            MADE if one.folder is None else f"{packages}/{one.folder}",
            "immutable" if one.immutable else "static",
        )
        for one in served.static(settings)
    )


def media(settings: Settings) -> tuple[ServedMedia, ...]:
    prefix = settings.web.prefix
    return tuple(
        ServedMedia(prefix + one.url, pattern(prefix + one.url), one.folder)
        for one in served.media(settings)
    )


def pattern(url: str) -> str:
    return rf"^{re.escape(url)}(?<cartwheel_file>.+)\z"
