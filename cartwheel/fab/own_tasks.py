"""A fabfile's own tasks, beside Cartwheel's."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import invoke

from cartwheel.fab.task import FleetTask

OURS = "cartwheel"  # where Cartwheel's tasks are whose names the fabfile has too


def merge(
    collection: invoke.Collection,
    module: ModuleType,
    ours: invoke.Collection,
    given: invoke.Collection,
) -> list[str]:
    """Make `collection` have both: what the fabfile defines or imports, and all tasks of `ours`.

    invoke itself takes either a namespace or tasks. It is left alone unless `given`, which the
    fabfile got from Cartwheel, is one of its namespaces. Returns the names that both have: they
    stay the fabfile's, and Cartwheel's own are below OURS.
    """
    spaces = [getattr(module, name, None) for name in ("ns", "namespace")]
    if not any(one is given for one in spaces):
        return []
    if next(filter(None, spaces)) is given:
        for name, one in _defined(collection, module, given):
            _add_own(collection, name, one)
    return _add_missing(collection, ours)


def _defined(
    collection: invoke.Collection, module: ModuleType, given: invoke.Collection
) -> Iterator[tuple[str, invoke.Task[Any] | invoke.Collection]]:
    known = {id(one) for one in (given, *given.tasks.values(), *given.collections.values())}
    for name, one in vars(module).items():
        if id(one) in known:
            continue
        if isinstance(one, invoke.Task):
            known.add(id(one))
            yield collection.transform(one.name), one
        elif isinstance(one, invoke.Collection):
            known.add(id(one))
            yield collection.transform(one.name or name), one


def _add_own(
    collection: invoke.Collection, name: str, one: invoke.Task[Any] | invoke.Collection
) -> None:
    aliases = map(collection.transform, getattr(one, "aliases", ()))
    for taken in (name, *aliases):
        collection.tasks.pop(taken, None)
        collection.collections.pop(taken, None)
    if isinstance(one, invoke.Collection):
        collection.add_collection(one, name)
    else:
        collection.add_task(one)


def _add_missing(collection: invoke.Collection, ours: invoke.Collection) -> list[str]:
    """Add Cartwheel's tasks that are not there: below OURS where the fabfile has the name. Returns
    these names."""
    there = {id(collection[name]) for name in collection.task_names}
    missing = [ours[name] for name in ours.task_names if id(ours[name]) not in there]
    taken = {*collection.tasks, *collection.tasks.aliases, *collection.collections}
    apart = invoke.Collection(OURS)
    both: dict[str, None] = {}
    for task in missing:
        top = task.full_name.partition(".")[0]
        if top in taken:
            both[top] = None
        _add_below(apart if top in taken else collection, task)
    if both:
        collection.add_collection(apart)
    return list(both)


def _add_below(collection: invoke.Collection, task: FleetTask) -> None:
    group, _, _last = task.full_name.rpartition(".")
    if group and group not in collection.collections:
        collection.add_collection(invoke.Collection(group))
    (collection.collections[group] if group else collection).add_task(task)


def renamed(collection: invoke.Collection) -> dict[str, str]:
    """The names that Cartwheel's tasks have in this fabfile, by their own, where they differ."""
    names: dict[str, str] = {}
    for name in collection.task_names:
        task = collection[name]
        if isinstance(task, FleetTask) and task.full_name:
            names[task.full_name] = name
    return {own: name for own, name in names.items() if own != name}


def traceback_of(error: BaseException) -> str:
    """The traceback of an error in a fabfile's own task, from that task on; "" if it was not in
    one."""
    at = error.__traceback__
    begun = None
    while at is not None:
        if at.tb_frame.f_code is FleetTask.__call__.__code__:
            return ""
        if at.tb_frame.f_code is invoke.Task.__call__.__code__:
            begun = at.tb_next
        at = at.tb_next
    if begun is None:
        return ""
    shown = traceback.TracebackException(type(error), error, begun)
    return "".join(shown.format()).rstrip()
