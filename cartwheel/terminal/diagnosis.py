"""What `fab diagnose` found, for people and for programs."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cartwheel.errors import CartwheelError
from cartwheel.host.wire.codec import to_json
from cartwheel.telling import age_text
from cartwheel.terminal.format import local_time

if TYPE_CHECKING:
    from cartwheel.commands.diagnose import Judged
    from cartwheel.diagnosis.ranking import Ranked
    from cartwheel.fleet.sessions import Result
    from cartwheel.host.wire.diagnosis import Diagnosis
    from cartwheel.host.wire.messages import Json

_MOST_EVIDENCE = 6
_DAY_SECONDS = 86400.0


def lines_of(host: str, judged: Judged) -> Iterator[str]:
    """A host's part of the answer: what is wrong, the likeliest cause first."""
    found, causes = judged.found, judged.causes
    ago = age_text(found.time - found.since)
    if causes:
        things = "1 thing is" if len(causes) == 1 else f"{len(causes)} things are"
        yield f"[{host}] {things} wrong (the last {ago}); the likeliest cause first:"
    else:
        yield f"[{host}] nothing is wrong (the last {ago})"
    numbers = {one.cause.slug: number for number, one in reversed([*enumerate(causes, 1)])}
    for number, one in enumerate(causes, 1):
        yield from _lines_of_cause(number, one, found, numbers)
    yield from (f"    not looked at: {text}" for text in found.unread)


def _lines_of_cause(
    number: int, one: Ranked, found: Diagnosis, numbers: Mapping[str, int]
) -> Iterator[str]:
    cause = one.cause
    yield f"{number:>3}. {cause.title}{_when(one, found)}"
    yield from (f"       {line}" for line in cause.evidence[:_MOST_EVIDENCE])
    if len(cause.evidence) > _MOST_EVIDENCE:
        yield f"       and {len(cause.evidence) - _MOST_EVIDENCE} more (--json has all)"
    for change in one.changes:
        by = f", by {change.who}" if change.who else ""
        yield f"     changed before, {_clock(change.at, found)}: {change.detail}{by}"
    if one.follows:
        places = sorted({numbers[slug] for slug in one.follows})
        yield f"     follows from {', '.join(map(str, places))}"
    if cause.todo:
        yield f"     next: {cause.todo}"


def _when(one: Ranked, found: Diagnosis) -> str:
    cause = one.cause
    if cause.began is None:
        return ""
    since = _clock(cause.began, found)
    if cause.last is None:
        return f" (since {since})"
    last = _clock(cause.last, found)
    return f" ({since} to {last})" if last != since else f" ({since})"


def _clock(at: float, found: Diagnosis) -> str:
    """A time on the day of the look without its date."""
    return local_time(at, "%H:%M:%S" if found.time - at < _DAY_SECONDS else "%Y-%m-%d %H:%M")


def fields_of(judged: Judged) -> dict[str, Json]:
    """All of it for programs, without the logs."""
    return {
        "causes": [
            {
                "what": one.cause.slug,
                "title": one.cause.title,
                "next": one.cause.todo,
                "evidence": list(one.cause.evidence),
                "began": one.cause.began,
                "last": one.cause.last,
                "follows": list(one.follows),
                "changes": [to_json(change) for change in one.changes],
            }
            for one in judged.causes
        ],
        "evidence": to_json(replace(judged.found, texts={})),
    }


def bundle(answers: Mapping[str, Result[Judged]]) -> bytes:
    """A .tar.gz with a folder for each host: the answer as text, the evidence, and the logs."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for host, one in answers.items():
            for name, text in _files(host, one):
                data = text.encode()
                about = tarfile.TarInfo(f"diagnosis/{_safe(host)}/{name}")
                about.size, about.mode = len(data), 0o600
                if not isinstance(one, CartwheelError):
                    about.mtime = int(one.found.time)
                archive.addfile(about, io.BytesIO(data))
    return packed.getvalue()


def _files(host: str, one: Result[Judged]) -> Iterator[tuple[str, str]]:
    if isinstance(one, CartwheelError):
        yield "error.txt", f"{one.message}\n"
        return
    yield "diagnosis.txt", "\n".join(lines_of(host, one)) + "\n"
    yield "diagnosis.json", json.dumps(fields_of(one), indent=1) + "\n"
    yield from ((f"{source}.log", text) for source, text in one.found.texts.items())


def _safe(name: str) -> str:
    return "".join(one if one.isalnum() or one in ".-_@" else "_" for one in name)
