"""Finds the static files of Flask, FastAPI and Starlette applications. Runs nothing."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath

from cartwheel.project.django_values import literal
from cartwheel.project.modules import Module, Modules, called_name, full_call

_FLASK = frozenset({"flask.Flask", "apiflask.APIFlask"})
_STATIC = "static"


def static_in(
    modules: Modules, real: Mapping[str, str], files: Collection[str]
) -> Iterator[tuple[str, str]]:
    """(URL path, folder among the installed packages) of folders that have files. `real` are the
    files in the source by those on the import path; `files` are all paths in the source."""
    for module in modules.modules.values():
        for node in module.nodes:
            found = _static(module, node) if isinstance(node, ast.Call) else None
            if found is None:
                continue
            url, folders = found
            root = real.get(module.file, module.file).removesuffix(module.file)
            for folder in folders:
                if any(name.startswith(f"{root}{folder}/") for name in files):
                    yield f"/{url.strip('/')}/", folder
                    break


def _static(module: Module, call: ast.Call) -> tuple[str, list[str]] | None:
    """The URL that a call serves files at, and the folders that may be meant."""
    here = PurePosixPath(module.file).parent
    if full_call(module, call) in _FLASK:
        folder = _said(call, "static_folder", _STATIC)
        url = _said(call, "static_url_path", PurePosixPath(folder).name)
        is_plain = bool(folder) and not folder.startswith(("/", "..")) and bool(url.strip("/"))
        return (url, [str(here / folder)]) if is_plain else None
    is_mount = isinstance(call.func, ast.Attribute) and call.func.attr == "mount"
    path = literal(call.args[0]) if is_mount and len(call.args) > 1 else ...
    served = call.args[1] if isinstance(path, str) and path.strip("/") else None
    if not (isinstance(served, ast.Call) and _is_static_files(served)):
        return None
    given = next((one.value for one in served.keywords if one.arg == "directory"), None)
    texts = [one.value for one in ast.walk(given or ast.Pass()) if isinstance(one, ast.Constant)]
    names = [one.removeprefix("./").strip("/") for one in texts if isinstance(one, str)]
    return (str(path), [str(here / names[-1]), names[-1]]) if names and names[-1] else None


def _is_static_files(call: ast.Call) -> bool:
    return called_name(call) == "StaticFiles"


def _said(call: ast.Call, keyword: str, usual: str) -> str:
    """A keyword's text; "" if only a run can tell it."""
    given = next((one.value for one in call.keywords if one.arg == keyword), None)
    value = usual if given is None else literal(given)
    return value if isinstance(value, str) else ""
