"""What works on a developer's machine and not on a host, in the sources of any framework. Runs
nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping

from cartwheel.project.django_values import literal
from cartwheel.project.modules import Module, Modules, called_name, full_call

# Calls that take a path from the working directory, by their last name.
_READING = frozenset(
    {
        *("open", "Path", "StaticFiles", "Jinja2Templates", "FileResponse", "FileSystemLoader"),
        *("load", "read_csv", "read_excel", "read_json", "read_parquet", "read_text"),
    }
)
_KEYWORDS = frozenset({"directory", "path", "file", "filename", "searchpath"})
_KEY = re.compile(r"(?:^|[.'])(?:SECRET_KEY|secret_key)(?:'\])?$")
_INSTANCE = re.compile(r"\binstance_path\b|instance_relative_config=True")
_RELATIVE = re.compile(
    r"sqlite:///(?![/{])"
)  # Flask-SQLAlchemy looks for it in the instance folder


def advice(
    modules: Modules, real: Mapping[str, str], files: Collection[str], framework: str
) -> Iterator[str]:
    """Each place with what to do. `files` are all paths of the source, also its folders."""
    for module in modules.modules.values():
        found = [*_relative(module, files), *(_of_flask(module) if framework == "Flask" else ())]
        for line, text in sorted(found):
            yield f"{real.get(module.file, module.file)}:{line}: {text}"


def _calls(module: Module) -> Iterator[ast.Call]:
    return (one for one in module.nodes if isinstance(one, ast.Call))


def _relative(module: Module, files: Collection[str]) -> Iterator[tuple[int, str]]:
    """Paths that lead to the sources only where these are the working directory."""
    for call in _calls(module):
        if called_name(call) not in _READING:
            continue
        given = [*call.args[:1], *(one.value for one in call.keywords if one.arg in _KEYWORDS)]
        for path in (one.removeprefix("./") for one in map(literal, given) if isinstance(one, str)):
            if path.rstrip("/") in files:
                yield (
                    call.lineno,
                    f'"{path}" is looked for in the working directory, which is the shared folder'
                    f' on a host: write Path(__file__).parent / "{path}"',
                )


def _of_flask(module: Module) -> Iterator[tuple[int, str]]:
    for node in module.nodes:
        if (line := _key_in(node)) is not None:
            yield (
                line,
                'the secret key is in the sources: write os.environ["SECRET_KEY"], and set that'
                " under [secrets]",
            )
    text = ast.unparse(module.tree) if module.tree else ""
    if not (_INSTANCE.search(text) or ("flask_sqlalchemy" in text and _RELATIVE.search(text))):
        return
    for call in _calls(module):
        is_flask = full_call(module, call) == "flask.Flask"
        if is_flask and not any(one.arg == "instance_path" for one in call.keywords):
            yield (
                call.lineno,
                "the instance folder is inside the release, where nothing can be written: write"
                ' Flask(__name__, instance_path=os.environ.get("CARTWHEEL_SHARED"))',
            )


def _key_in(node: ast.AST) -> int | None:
    """The line where a literal becomes the secret key; None if this is something else."""
    if isinstance(node, ast.Assign):
        named = ast.unparse(node.targets[0])
        if _KEY.search(named) and isinstance(literal(node.value), str):
            return node.lineno
    if isinstance(node, ast.keyword) and node.arg == "SECRET_KEY":
        return node.lineno if isinstance(literal(node.value), str) else None
    return None
