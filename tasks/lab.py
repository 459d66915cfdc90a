"""Tasks for disposable hosts on this machine: those of the distribution cartwheel-lab."""

from __future__ import annotations

from importlib.util import find_spec

from cartwheel.terminal.scene import plain_task

if find_spec("cartwheel_lab"):
    from cartwheel_lab.tasks import TASKS

    for one in TASKS:
        made = plain_task(help=one.help, hosts=one.hosts, name=one.name, json=one.json)(one.body)
        made.__module__ = __name__
        globals()[made.__name__] = made
