"""Packages that only come from one index: written as a project for uv, by index and name."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

from cartwheel.build.index import Access, bare
from cartwheel.build.origins import Origin, normal
from cartwheel.build.products import Platform
from cartwheel.build.wheel import platform_tags
from cartwheel.decoded import Fields
from cartwheel.errors import BuildError


def index_project(indexes: Mapping[str, Origin], access: Access) -> tuple[str, dict[str, str]]:
    """(pyproject.toml, variables): uv's `[tool.uv.sources]` with an `explicit` index for each
    URL. Credentials are in the variables, and are those of the same server in `access`."""
    layouts = {one.place: one.reference for one in indexes.values()}
    names = {place: f"index-{number}" for number, place in enumerate(sorted(layouts))}
    lines = ["[project]", 'name = "cartwheel-indexes"', 'version = "0"', 'requires-python = ">=3"']
    lines += [f"dependencies = {json.dumps(sorted(indexes))}", "[tool.uv.workspace]"]
    lines += ["[tool.uv.sources]"]
    lines += [f'{name} = {{ index = "{names[one.place]}" }}' for name, one in indexes.items()]
    variables: dict[str, str] = {}
    for place, name in names.items():
        url = json.dumps(bare(place))
        lines += ["[[tool.uv.index]]", f'name = "{name}"', f"url = {url}", "explicit = true"]
        lines += [f"format = {json.dumps(layouts[place])}"] if layouts[place] else []
        user, password = _credentials(place, access)
        prefix = "UV_INDEX_" + name.upper().replace("-", "_")
        variables |= {f"{prefix}_USERNAME": user} if user else {}
        variables |= {f"{prefix}_PASSWORD": password} if password else {}
    return "\n".join(lines) + "\n", variables


def _credentials(place: str, access: Access) -> tuple[str, str]:
    server = urlsplit(bare(place)).netloc
    for url in (place, access.url, *access.extra_urls):
        parts = urlsplit(url)
        if parts.username and parts.netloc.rpartition("@")[2] == server:
            return unquote(parts.username), unquote(parts.password or "")
    return "", ""


def files_in(pylock: str, names: Iterable[str], platform: Platform) -> dict[str, tuple[str, str]]:
    """name -> (address, SHA-256) of the file that a host of `platform` takes (PEP 751).

    Raises BuildError("index-lacks") if none fits.
    """
    packages = {normal(one["name"]): one for one in tomllib.loads(pylock).get("packages", [])}
    return {name: _file(name, packages.get(name, {}), platform) for name in names}


def _file(name: str, package: Fields, platform: Platform) -> tuple[str, str]:
    from packaging.utils import parse_wheel_filename

    fitting = platform_tags(platform)
    for wheel in package.get("wheels", []):
        file = unquote(urlsplit(wheel.get("url", "")).path.rpartition("/")[2])
        if file.endswith(".whl") and parse_wheel_filename(file)[3] & fitting:
            return bare(wheel["url"]), wheel["hashes"]["sha256"]
    sdist = package.get("sdist", {})
    if "url" in sdist:
        return bare(sdist["url"]), sdist["hashes"]["sha256"]
    raise BuildError("index-lacks", f"the index of {name} has no file that fits the host")
