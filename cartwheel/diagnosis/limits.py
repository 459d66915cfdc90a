"""Too few files or processes allowed, and no room to write."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel.diagnosis import followed, telling
from cartwheel.diagnosis.cause import NAMED, SOON, Case, Cause

# A busy instance keeps few of its limits: what holds more than this has a leak or too low a limit.
_NEAR = 0.85
# A file system with less than this left is full for most programs: it is somebody else's cause.
_NO_ROOM_BYTES = 16 << 20
_NO_ROOM_INODES = 100


def causes(case: Case) -> Iterator[Cause]:
    """By what was refused, or by what is used already."""
    yield from _files(case)
    yield from _tasks(case)
    yield from _room(case)


def _files(case: Case) -> Iterator[Cause]:
    refused = case.signs("files")
    near = [
        f"{one.process} has {one.files} files open, at most {one.files_max}"
        for one in case.found.uses
        if one.files and one.files_max and one.files > _NEAR * one.files_max
    ]
    said_by = {one.about for one in refused}
    limits = near or [
        f"a process of {one.process} may open {one.files_max} files"
        for one in case.found.uses
        if one.files_max and one.process.partition(" ")[0] in said_by
    ]
    todo = (
        "close what the app opens (files, sockets, database connections); if it needs more:"
        ' hardening.unit = ["LimitNOFILE=..."]'
    )
    if refused:
        count = telling.times(telling.count(refused))
        yield Cause(
            "files-limit",
            f"{refused[0].about} could not open files or connections {count}: too many are open",
            todo,
            NAMED + 5,
            (*telling.lines(refused), *limits),
            telling.first(refused),
            telling.last(refused),
            followed.APP,
        )
    elif near:
        yield Cause("files-limit", near[0], todo, SOON)


def _tasks(case: Case) -> Iterator[Cause]:
    refused = [*case.signs("threads"), *case.signs("tasks-refused")]
    near = [
        f"{one.process} has {one.tasks} processes and threads, at most {one.tasks_max}"
        for one in case.found.uses
        if one.tasks and one.tasks_max and one.tasks > _NEAR * one.tasks_max
    ]
    todo = 'start fewer threads; if it needs more: hardening.unit = ["TasksMax=..."]'
    if refused:
        count = telling.times(telling.count(refused))
        yield Cause(
            "tasks-limit",
            f"{refused[0].about} could not start threads or processes {count}: it has too many",
            todo,
            NAMED + 5,
            (*telling.lines(refused), *near),
            telling.first(refused),
            telling.last(refused),
            followed.APP,
        )
    elif near:
        yield Cause("tasks-limit", near[0], todo, SOON)


def _room(case: Case) -> Iterator[Cause]:
    """What was refused for lack of room, if no file system is full any more."""
    refused = case.signs("no-space")
    full = [
        one
        for one in case.found.storage
        if one.free < _NO_ROOM_BYTES or (one.inodes and one.free_inodes < _NO_ROOM_INODES)
    ]
    if not refused or full:
        return
    path = next((telling.path(one.about) for one in refused if one.about[:1] == "/"), "a file")
    count = telling.times(telling.count(refused))
    yield Cause(
        "disk-full",
        f"the app could not write {path} {count}: no space left",
        "see whether the disk was full then, the user has a quota, or that folder is a small file"
        " system of its own",
        NAMED,
        telling.lines(refused),
        telling.first(refused),
        telling.last(refused),
        followed.APP,
    )
