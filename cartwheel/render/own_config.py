"""The application's own gunicorn configuration, which is applied last."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cartwheel.errors import UsageError
from cartwheel.settings.toml_tables import Settings

# In an app's source folder the first of these is used even if the settings do not name it:
# gunicorn's own default, and a usual name.
SOURCES = ("gunicorn.conf.py", "gunicorn_conf.py")
# Settings that the file cannot change (templates/gunicorn.conf.py.j2; a test compares them).
FIXED = frozenset(
    {"bind", "chdir", "graceful_timeout", "errorlog", "umask", "worker_tmp_dir"}
    | {"control_socket_disable", "daemon", "pidfile", "reload", "reuse_port", "wsgi_app"}
)


@dataclass(frozen=True)
class OwnConfig:
    """The file's text. `worker_class`: its value if it is a literal, "" if it sets none, None if
    nobody knows it before it runs. `notes` are about what is not used."""

    text: str
    worker_class: str | None
    notes: tuple[str, ...]


def own_config(settings: Settings, project: Path) -> OwnConfig | None:
    """The file of gunicorn.config_file, else one in the app's source folder.

    Raises UsageError if it cannot be read or is not Python.
    """
    named = settings.gunicorn.config_file
    folder = project / settings.app.source
    there = [path for name in SOURCES if (path := folder / name).is_file()]
    if named is None and not there:
        return None
    path = there[0] if named is None else project / named
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
    except OSError as error:
        raise UsageError("settings", f"gunicorn.config_file: {path}: {error.strerror}") from None
    except SyntaxError as error:
        raise UsageError("template", f"{path}:{error.lineno}: {error.msg}") from None
    except ValueError:
        raise UsageError("template", f"{path} is not Python in UTF-8") from None
    unused = [other for other in there if not other.samefile(path)]
    return OwnConfig(text, _worker_class(tree), tuple(_notes(path, tree, unused)))


def _worker_class(tree: ast.Module) -> str | None:
    if "worker_class" not in {name for name, _ in _assigned(tree)}:
        return ""
    values = [value for name, value in _assigned(tree) if name == "worker_class"]
    literal = values[-1].value if isinstance(values[-1], ast.Constant) else None
    return literal if isinstance(literal, str) else None


def _notes(path: Path, tree: ast.Module, unused: list[Path]) -> Iterator[str]:
    ignored = sorted({name for name, _ in _assigned(tree)} & FIXED)
    if ignored:
        yield f"{path.name}: {', '.join(ignored)} ignored: Cartwheel sets them itself"
    for other in unused:
        yield f"{other.name} is not used, because {path.name} is"


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr | None]]:
    """The names that the module's own statements set, with their values if known."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value  # type: ignore[attr-defined]  # both have one
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.Import | ast.ImportFrom):
            names = [getattr(node, "name", "")]
            names += [one.asname or one.name for one in getattr(node, "names", [])]
            yield from ((name, None) for name in names if name)
