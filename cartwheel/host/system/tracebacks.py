"""Tracebacks without the frames of servers and libraries around the application's own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Callable, FrozenSet, List, Tuple

_BEGINS = "Traceback (most recent call last):"
_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<name>\S+))?')
_PACKAGES = "site-packages/"

Frame = List[str]  # its lines


def own_files(packages: Path, entry: str) -> Callable[[str], bool]:
    """Whether a file belongs to the application's own distribution, which has the entry's module;
    `packages` is the release's folder of packages."""
    tops = _tops(packages, entry.partition(":")[0].partition(".")[0])
    prefix = f"{packages}/"

    def is_own(file: str) -> bool:
        return file.startswith(prefix) and file[len(prefix) :].split("/", maxsplit=1)[0] in tops

    return is_own


def _tops(packages: Path, module: str) -> FrozenSet[str]:
    """The files and folders of the distribution that has this module."""
    if not module:
        return frozenset()
    wanted = {module, module + ".py"}
    for record in packages.glob("*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8", errors="replace").splitlines()
        names = {line.split(",")[0].split("/")[0].strip('"') for line in lines}
        if wanted & names:
            return frozenset(names)
    return frozenset(wanted)


def shorten(text: str, is_own: Callable[[str], bool]) -> str:
    """Cut each traceback to the application's own frames, if it has any; the rest is counted."""
    lines, result, number = text.splitlines(), [], 0
    while number < len(lines):
        result.append(lines[number])
        number += 1
        if result[-1].endswith(_BEGINS):
            frames, number = _frames(lines, number)
            result += [line for frame in _kept(frames, is_own) for line in frame]
    return "\n".join(result)


def _frames(lines: List[str], number: int) -> Tuple[List[Frame], int]:
    """The frames from this line on, and the number of the line after them."""
    frames: List[Frame] = []
    while number < len(lines):
        line = lines[number]
        if _FRAME.match(line):
            frames.append([line])
        elif frames and line.startswith("  "):  # its source, or a repetition
            frames[-1].append(line)
        else:
            break
        number += 1
    return frames, number


def _kept(frames: List[Frame], is_own: Callable[[str], bool]) -> List[Frame]:
    own = [number for number, frame in enumerate(frames) if is_own(_file(frame))]
    if not own:
        return frames
    before, after = frames[: own[0]], frames[own[-1] + 1 :]
    kept = frames[own[0] : own[-1] + 1]
    if before:
        kept = [["  ({} before)".format(_counted(before))], *kept]
    if after:
        kept = [*kept, ["  ({} below; the last is {})".format(_counted(after), _place(after[-1]))]]
    return kept


def _counted(frames: List[Frame]) -> str:
    return "{} frame{}".format(len(frames), "s" if len(frames) > 1 else "")


def _file(frame: Frame) -> str:
    found = _FRAME.match(frame[0])
    return found.group("file") if found else ""


def _place(frame: Frame) -> str:
    """`flask/app.py:7 in run`."""
    found = _FRAME.match(frame[0])
    if found is None:
        return frame[0].strip()
    file = found.group("file").rpartition(_PACKAGES)[2]
    return "{}:{} in {}".format(file, found.group("line"), found.group("name") or "?")
