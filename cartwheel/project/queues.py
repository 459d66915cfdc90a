"""Finds the workers that an application needs in its sources: of Celery, RQ, Dramatiq and Huey."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from cartwheel.project.modules import Module, Modules, full_call
from cartwheel.project.proposal import (
    CELERY,
    DRAMATIQ,
    HUEY,
    RQ,
    Proposal,
    named,
)

_CELERY = re.compile(r"celery(?:\.\w+)*\.Celery")
_HUEY = re.compile(r"huey(?:\.\w+)*\.\w*Huey")
_ACTOR = re.compile(r"dramatiq(?:\.\w+)*\.actor")
_QUEUE = re.compile(
    r"rq(?:\.\w+)*\.Queue|(?:rq\.decorators|django_rq(?:\.\w+)*)\.(?:job|get_queue)"
)
_KEPT = re.compile(r"\.extensions\['celery'\]$")
_SCHEDULE = re.compile(
    r"beat_schedule|CELERY_?BEAT_SCHEDULE|add_periodic_task|django_celery_beat|redbeat"
)
_IN_DATABASE = "django_celery_beat.schedulers:DatabaseScheduler"
_QUEUES_OF_DJANGO = "RQ_QUEUES"
_MANAGE = "python $CARTWHEEL_CODE/manage.py"
_DEEPEST = 4  # functions that call functions
# Distributions, by how they are named in requirements.
PROGRAMS = {
    "celery": CELERY,
    "rq": RQ,
    "django-rq": RQ,
    "dramatiq": DRAMATIQ,
    "django-dramatiq": DRAMATIQ,
    "huey": HUEY,
}


def found_in(modules: Modules, text: str) -> Iterator[Proposal]:
    """The processes that the modules need; `text` is their code."""
    yield from _celery(modules, text)
    yield from _rq(modules, text)
    yield from _dramatiq(modules, text)
    yield from _huey(modules, text)


def required(text: str) -> list[str]:
    """Which of these programs a file of requirements names."""
    return [one for one in distributions(text) if one in PROGRAMS]


def distributions(text: str) -> list[str]:
    """The names of distributions that a file of requirements has at the beginning of lines, and
    those with their extras again."""
    named = re.findall(r"(?im)^\s*[\"']?([a-z][a-z-]+)(\[[\w,-]+\])?(?=[\s\"'\[=<>~!;^,]|$)", text)
    return list(dict.fromkeys(one.lower() for name, extra in named for one in (name, name + extra)))


# -- Celery


def _celery(modules: Modules, text: str) -> Iterator[Proposal]:
    found = next(_objects(modules, _CELERY), None) or next(_kept_by_flask(modules), None)
    if found is None:
        return
    module, attribute = found
    app, place = _as_celery_finds_it(modules, module, attribute), f"Celery, in {module.file}"
    command = f"celery -A {app} worker --loglevel info {named('worker')}"
    yield Proposal("worker", command, place)
    if _SCHEDULE.search(text):
        is_in_database = "django_celery_beat" in text and "DatabaseScheduler" not in text
        scheduler = f" --scheduler {_IN_DATABASE}" if is_in_database else ""
        command = f"celery -A {app} beat --loglevel info --pidfile={scheduler}"
        yield Proposal("beat", command, "its schedule is in the sources")


def _as_celery_finds_it(modules: Modules, module: Module, attribute: str) -> str:
    """The shortest name by which Celery finds this object: it takes a module's `app`, else its
    `celery`, else those of `celery.py` in a package."""
    is_first = attribute == "app" or (attribute == "celery" and "app" not in module.bindings)
    if not is_first:
        return f"{module.name}:{attribute}"
    package = modules.modules.get(module.name.removesuffix(".celery"))
    if package is None or {"app", "celery"} & package.bindings.keys():
        return module.name
    return package.name


def _kept_by_flask(modules: Modules) -> Iterator[tuple[Module, str]]:
    """`flask_app.extensions["celery"]`, as Flask's documents show it."""
    for module, name, node in _bound(modules):
        if isinstance(node, ast.Subscript) and _KEPT.search(ast.unparse(node)):
            yield module, name


# -- RQ


def _rq(modules: Modules, text: str) -> Iterator[Proposal]:
    names = list(dict.fromkeys([*_queues(modules), *_queues_of_django(modules)]))
    if not names:
        return
    if "django_rq" in text:
        command = f"{_MANAGE} rqworker {' '.join(names)}"
    else:
        url = '--url "$REDIS_URL" ' if re.search(r"""["']REDIS_URL["']""", text) else ""
        command = f"rq worker {url}{' '.join(names)}"
    yield Proposal("worker", command, "RQ, its queues are named in the sources")


def _queues(modules: Modules) -> Iterator[str]:
    """The names of all queues, in the order of the sources."""
    for module, node in _nodes(modules):
        if isinstance(node, ast.Call) and _QUEUE.fullmatch(full_call(module, node)):
            named = [one.value for one in node.keywords if one.arg == "name"]
            first = [*node.args[:1], *named, ast.Constant("default")][0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def _queues_of_django(modules: Modules) -> Iterator[str]:
    for _module, name, node in _bound(modules):
        if name == _QUEUES_OF_DJANGO and isinstance(node, ast.Dict):
            for key in node.keys:
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value


# -- Dramatiq and Huey


def _dramatiq(modules: Modules, text: str) -> Iterator[Proposal]:
    if "django_dramatiq" in text:
        yield Proposal("worker", f"{_MANAGE} rundramatiq", "django-dramatiq, in the sources")
        return
    actors, brokers = dict[str, None](), dict[str, None]()
    for module, node in _nodes(modules):
        if full_call(module, node) == "dramatiq.set_broker":
            brokers[module.name] = None
        for decorator in getattr(node, "decorator_list", []):
            if _ACTOR.fullmatch(_decorator(module, decorator)):
                actors[module.name] = None
    if actors:
        names = " ".join({**brokers, **actors})
        yield Proposal("worker", f"dramatiq {names}", "Dramatiq, the modules with its actors")


def _huey(modules: Modules, text: str) -> Iterator[Proposal]:
    # Each consumer starts periodic tasks: two of them start each task twice.
    overlap = "periodic_task" not in text
    if "huey.contrib.djhuey" in text:
        command = f"{_MANAGE} run_huey"
        yield Proposal("worker", command, "Huey for Django, in the sources", overlap)
        return
    for module, attribute in _objects(modules, _HUEY):
        using = _module_of_tasks(modules, module, attribute)
        command = f"huey_consumer {using}.{attribute}"
        yield Proposal("worker", command, f"Huey, in {module.file}", overlap)
        return


def _module_of_tasks(modules: Modules, made: Module, attribute: str) -> str:
    """The module with most tasks that has the object too: the consumer knows only what it
    imports."""
    tasks: dict[str, int] = {made.name: 0}
    for module, node in _nodes(modules):
        for decorator in getattr(node, "decorator_list", []):
            if attribute in module.bindings and _names(decorator, attribute):
                tasks[module.name] = tasks.get(module.name, 0) + 1
    return max(tasks, key=lambda name: tasks[name])


def _names(decorator: ast.expr, attribute: str) -> bool:
    return ast.unparse(decorator).startswith((f"{attribute}.task", f"{attribute}.periodic_task"))


# -- what is in modules


def _nodes(modules: Modules) -> Iterator[tuple[Module, ast.AST]]:
    for module in modules.modules.values():
        for node in ast.walk(module.tree) if module.tree else ():
            yield module, node


def _bound(modules: Modules) -> Iterator[tuple[Module, str, ast.AST]]:
    """Each name of each module with what it is bound to; the shortest names of modules first."""
    for module in sorted(modules.modules.values(), key=lambda one: (one.name.count("."), one.name)):
        for name, nodes in module.bindings.items():
            for node in nodes:
                yield module, name, node


def _objects(modules: Modules, maker: re.Pattern[str]) -> Iterator[tuple[Module, str]]:
    """The names that are bound to a call of `maker`, or of a function that calls it."""
    for module, name, node in _bound(modules):
        if _makes(modules, module, node, maker):
            yield module, name


def _makes(
    modules: Modules, module: Module, node: ast.AST, maker: re.Pattern[str], depth: int = 0
) -> bool:
    if not isinstance(node, ast.Call) or depth > _DEEPEST:
        return False
    full = full_call(module, node)
    if maker.fullmatch(full):
        return True
    origin, _, name = full.rpartition(".")
    there = modules.modules.get(origin or module.name)
    return there is not None and any(
        _makes(modules, there, returned, maker, depth + 1)
        for body in there.bindings.get(name, [])
        if isinstance(body, ast.FunctionDef)
        for returned in _returned(body)
    )


def _returned(body: ast.FunctionDef) -> Iterator[ast.AST]:
    """What a function returns; of a name, all that it is bound to."""
    inside = list(ast.walk(body))
    bound: dict[str, list[ast.AST]] = {}
    for node in inside:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                bound.setdefault(ast.unparse(target), []).append(node.value)
    for node in inside:
        if isinstance(node, ast.Return) and node.value is not None:
            yield from bound.get(ast.unparse(node.value), [node.value])


def _decorator(module: Module, node: ast.expr) -> str:
    """The whole name of a decorator, with or without arguments."""
    call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
    return full_call(module, call)
