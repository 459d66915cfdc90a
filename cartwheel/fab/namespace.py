"""Makes the namespace of `fab --list` from the modules of `tasks/`."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

import invoke

from cartwheel.fab.task import FleetTask


def assemble(package: str, *, flat: Iterable[str], nested: Iterable[str]) -> invoke.Collection:
    """The namespace of `package`: tasks of `flat` modules as `task`, of `nested` as `module.task`.
    `a.b` in `nested` is the module `a_b`, inside the group `a` before it.

    Import modules of `tasks/` with their heavy imports inside the functions:
    `fab --list` loads them all.
    """
    root = invoke.Collection()
    for name in flat:
        _fill(root, f"{package}.{name}")
    for name in nested:
        group, _dot, own = name.rpartition(".")
        inner = invoke.Collection(own)
        _fill(inner, f"{package}.{name.replace('.', '_')}")
        if inner.tasks:  # the lab's are there where it is installed
            (root.collections[group] if group else root).add_collection(inner)
    for full_name in root.task_names:
        root[full_name].full_name = full_name
    return root


def _fill(collection: invoke.Collection, module_name: str) -> None:
    for value in vars(import_module(module_name)).values():
        # A task that a module imports from another one belongs to the other one.
        if isinstance(value, FleetTask) and value.__module__ == module_name:
            collection.add_task(value)
