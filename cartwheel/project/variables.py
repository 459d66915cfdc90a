"""Which variables of the environment an application's modules read. Runs nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from cartwheel.project.modules import Module, Modules, full_call, origin_of

# Objects that read the environment when they are called: `env = environ.Env()`, then `env("KEY")`.
_READERS = frozenset(
    {
        *("environ.Env", "environ.FileAwareEnv", "environs.Env", "environs.FileAwareEnv"),
        *("decouple.AutoConfig", "decouple.Config", "starlette.config.Config"),
    }
)
_READING = frozenset({"decouple.config"})
_GETTING = frozenset({"os.environ.get", "os.getenv"})
_DATABASE_URL = "DATABASE_URL"
# Calls without a name of a variable, by the one that they read.
_URLS = {
    **dict.fromkeys(("db", "db_url", "dj_db_url"), _DATABASE_URL),
    **dict.fromkeys(("cache", "cache_url"), "CACHE_URL"),
    **dict.fromkeys(("email", "email_url"), "EMAIL_URL"),
}
_PYDANTIC = frozenset({"pydantic_settings.BaseSettings", "pydantic.BaseSettings"})
_NAMES = ("validation_alias", "alias", "env")  # of a variable, in a field of pydantic's
_DEEPEST = 8  # imports of imports


@dataclass(frozen=True)
class Read:
    """A variable that an expression reads; `needed` if it fails without it. `name` is "" if only a
    run can tell it, and `default` is None if there is none."""

    name: str
    needed: bool
    default: ast.expr | None = None


def needed_in(modules: Modules, unused: Collection[str] = ()) -> frozenset[str]:
    """The variables without which the modules, except those that are not used, cannot start."""
    used = [one for one in modules.modules.values() if one.name not in unused]
    found = {
        read.name
        for module in used
        for read in _reads(modules, module, module.nodes)
        if read.needed
    }
    return frozenset(found.union(*map(_of_pydantic, used)))


def reads_in(modules: Modules, module: Module, part: ast.AST) -> Iterator[Read]:
    """What this part of a module reads."""
    return _reads(modules, module, tuple(ast.walk(part)))


def _reads(modules: Modules, module: Module, nodes: Sequence[ast.AST]) -> Iterator[Read]:
    tested = {name for node in nodes for name in _tested(module, node)}
    for node in nodes:
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            name = _text(node.slice)
            if _is_environ(module, node.value):
                yield Read(name, needed=bool(name) and name not in tested)
        elif isinstance(node, ast.Call):
            yield from _called(modules, module, node)


def _tested(module: Module, node: ast.AST) -> Iterator[str]:
    """The variable of `"KEY" in os.environ`, or of a call that is fine without it."""
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
        if _is_environ(module, node.comparators[0]):
            yield _text(node.left)
    elif isinstance(node, ast.Call) and node.args and full_call(module, node) in _GETTING:
        yield _text(node.args[0])


def _is_environ(module: Module, node: ast.expr) -> bool:
    return full_call(module, ast.Call(node, [], [])) == "os.environ"


def _called(modules: Modules, module: Module, call: ast.Call) -> Iterator[Read]:
    full = full_call(module, call)
    name = _text(call.args[0]) if call.args else ""
    default = call.args[1] if len(call.args) > 1 else _keyword(call, "default")
    if full in _GETTING:
        if name:
            yield Read(name, needed=False, default=default)
    elif full == "dj_database_url.config":
        given = _keyword(call, "env")
        url = _text(given) if given else ""
        yield Read(url or _DATABASE_URL, needed=False, default=_keyword(call, "default"))
    elif name and (fails := _own_function(modules, module, call)) is not None:
        yield Read(name, needed=fails and default is None, default=default)
    elif (reader := _reader(modules, module, call, full)) is not None:
        name = name or _URLS.get(full.rpartition(".")[2], "")
        default = default or reader.get(name)
        if name:
            yield Read(name, needed=default is None, default=default)


def _own_function(modules: Modules, module: Module, call: ast.Call, depth: int = 0) -> bool | None:
    """Whether a function of the application's own fails without the variable that it is given; None
    if it does not read that."""
    if not isinstance(call.func, ast.Name) or depth > _DEEPEST:
        return None
    name = call.func.id
    for node in (*module.bindings.get(name, []), *module.bindings.get("*", [])):
        if isinstance(node, ast.FunctionDef) and node.args.args:
            given = re.escape(node.args.args[0].arg)
            reads = re.compile(rf"\b(?:environ(?P<fails>\[)|environ\.get\(|getenv\(){given}\b")
            if found := reads.search(ast.unparse(node)):
                return found["fails"] is not None
        if isinstance(node, ast.ImportFrom):
            given = next((one.name for one in node.names if (one.asname or one.name) == name), name)
            origin = modules.get(origin_of(module, node))
            there = ast.Call(ast.Name(given), call.args, call.keywords)
            fails = _own_function(modules, origin, there, depth + 1) if origin else None
            if fails is not None:
                return fails
    return None


def _reader(
    modules: Modules, module: Module, call: ast.Call, full: str
) -> dict[str, ast.expr] | None:
    """The defaults that the object has that is called; None if it does not read variables."""
    if full in _READING:
        return {}
    root = call.func.value if isinstance(call.func, ast.Attribute) else call.func
    return _defaults(modules, module, root.id) if isinstance(root, ast.Name) else None


def _defaults(
    modules: Modules, module: Module, name: str, depth: int = 0
) -> dict[str, ast.expr] | None:
    """What `name = environ.Env(DEBUG=(bool, False))` says; None if `name` is no such object."""
    if depth > _DEEPEST:
        return None
    for node in (*module.bindings.get(name, []), *module.bindings.get("*", [])):
        if isinstance(node, ast.Call) and full_call(module, node) in _READERS:
            return {
                one.arg: one.value.elts[1]
                for one in node.keywords
                if one.arg and isinstance(one.value, ast.Tuple) and len(one.value.elts) > 1
            }
        if isinstance(node, ast.ImportFrom):
            given = next((one.name for one in node.names if (one.asname or one.name) == name), name)
            origin = modules.get(origin_of(module, node))
            if f"{node.module}.{given}" in _READING:
                return {}
            found = _defaults(modules, origin, given, depth + 1) if origin else None
            if found is not None:
                return found
    return None


def _of_pydantic(module: Module) -> Iterator[str]:
    """The variables of the settings' fields that have no default."""
    for node in module.nodes:
        bases = node.bases if isinstance(node, ast.ClassDef) else []
        if isinstance(node, ast.ClassDef) and any(
            full_call(module, ast.Call(base, [], [])) in _PYDANTIC for base in bases
        ):
            prefix = _prefix(node)
            for one in node.body:
                if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
                    yield from _field(one, prefix)


def _field(one: ast.AnnAssign, prefix: str) -> Iterator[str]:
    name = one.target.id if isinstance(one.target, ast.Name) else ""
    if name == "model_config" or "ClassVar" in ast.unparse(one.annotation):
        return
    value, said = one.value, ""
    if isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] == "Field":
        named = (_text(_keyword(value, key)) for key in _NAMES)
        said = next(filter(None, named), "")
        has_default = _keyword(value, "default_factory") is not None
        first = value.args[0] if value.args else _keyword(value, "default")
        value = one.value if has_default else first
    is_open = value is None or (isinstance(value, ast.Constant) and value.value is ...)
    if is_open:
        yield said.upper() or f"{prefix}{name}".upper()


def _prefix(settings: ast.ClassDef) -> str:
    """`env_prefix`, of model_config or of an inner class Config."""
    for node in ast.walk(settings):
        if isinstance(node, ast.keyword) and node.arg == "env_prefix":
            return _text(node.value)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "env_prefix":
            return _text(node.value)
    return ""


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((one.value for one in call.keywords if one.arg == name), None)


def _text(node: ast.AST | None) -> str:
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) else ""
