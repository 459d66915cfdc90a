"""A fabfile's own tasks, beside Cartwheel's."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import invoke

from cartwheel.fab.task import FleetTask

OURS = "cartwheel"  # where Cartwheel's tasks are whose names the fabfile has too


def merge(collection: invoke.Collection, module: ModuleType) -> list[str]:
    """Add the tasks and collections that the fabfile defines or imports, if its namespace is
    Cartwheel's. invoke itself takes either a namespace or tasks. Returns the names that both have:
    they stay the fabfile's, and Cartwheel's own are below OURS."""
    given = getattr(module, "ns", None) or getattr(module, "namespace", None)
    if not isinstance(given, invoke.Collection) or not _is_ours(given):
        return []
    both: list[str] = []
    apart = invoke.Collection(OURS)
    for name, one in _defined(collection, module, given):
        if _put_apart(collection, name, apart):
            both.append(name)
        if isinstance(one, invoke.Collection):
            collection.add_collection(one, name)
        else:
            collection.add_task(one)
    if both:
        collection.add_collection(apart)
    return both


def _is_ours(given: invoke.Collection) -> bool:
    return any(isinstance(task, FleetTask) for task in given.tasks.values())


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


def _put_apart(collection: invoke.Collection, name: str, apart: invoke.Collection) -> bool:
    """Move Cartwheel's task or group of this name; whether there was one."""
    if name in collection.tasks:
        apart.add_task(collection.tasks.pop(name))
        return True
    if name in collection.collections:
        apart.add_collection(collection.collections.pop(name))
        return True
    return False


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
