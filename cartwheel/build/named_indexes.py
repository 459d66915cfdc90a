"""Packages that only come from one index: written as a project for uv, by index and name."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Mapping
from urllib.parse import unquote, urlsplit

from cartwheel.build.index import Access, bare, credentials_for
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
        user, password = credentials_for(place, access)
        prefix = "UV_INDEX_" + name.upper().replace("-", "_")
        variables |= {f"{prefix}_USERNAME": user} if user else {}
        variables |= {f"{prefix}_PASSWORD": password} if password else {}
    return "\n".join(lines) + "\n", variables


def files_in(
    pylock: str,
    wanted: Mapping[str, Collection[str]],
    no_binary: Collection[str],
    platform: Platform,
) -> dict[str, tuple[str, str]]:
    """name -> (address, SHA-256) of the file that a host of `platform` takes (PEP 751): one with a
    `wanted` hash, if there are any; an sdist for names in `no_binary`.

    Raises BuildError("index-lacks") if none fits.
    """
    packages = {normal(one["name"]): one for one in tomllib.loads(pylock).get("packages", [])}
    return {
        name: _file(name, packages.get(name, {}), hashes, is_sdist(name, no_binary), platform)
        for name, hashes in wanted.items()
    }


def is_sdist(name: str, no_binary: Collection[str]) -> bool:
    """Whether pip's --no-binary asks for the package's source distribution."""
    return ":all:" in no_binary or name in {normal(one) for one in no_binary}


def _file(
    name: str, package: Fields, hashes: Collection[str], no_wheel: bool, platform: Platform
) -> tuple[str, str]:
    from packaging.utils import parse_wheel_filename

    fitting = platform_tags(platform)
    for wheel in () if no_wheel else package.get("wheels", []):
        file = unquote(urlsplit(wheel.get("url", "")).path.rpartition("/")[2])
        is_wanted = _is_wanted(wheel, hashes)
        if is_wanted and file.endswith(".whl") and parse_wheel_filename(file)[3] & fitting:
            return bare(wheel["url"]), wheel["hashes"]["sha256"]
    sdist = package.get("sdist", {})
    if "url" in sdist and _is_wanted(sdist, hashes):
        return bare(sdist["url"]), sdist["hashes"]["sha256"]
    raise BuildError("index-lacks", f"the index of {name} has no file that fits the host")


def _is_wanted(file: Fields, hashes: Collection[str]) -> bool:
    return not hashes or f"sha256:{file['hashes'].get('sha256')}" in hashes
