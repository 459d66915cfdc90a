"""`fab diagnose` on a host: look at every area at once, and take the secrets out. It only reads."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Dict, List

from cartwheel.host.diagnose import masks, texts
from cartwheel.host.diagnose.areas import AREAS
from cartwheel.host.diagnose.found import SECONDS, Found, Window, described, together
from cartwheel.host.look import report
from cartwheel.host.system.context import Context, boottime
from cartwheel.host.wire.diagnosis import Diagnose, Diagnosis

_MORE_SECONDS = 0.5  # an area that ends in time still has to say what it found


def diagnose(ctx: Context, request: Diagnose) -> Diagnosis:
    """The evidence of the last `request.ago_seconds`, without secrets. Raises what the status
    raises: without it nothing can be judged."""
    now, began = time.time(), boottime()
    window = Window(now - request.ago_seconds, now)
    pool = ThreadPoolExecutor(len(AREAS) + 1)
    status = pool.submit(report.status, ctx, request.status)
    looks = {pool.submit(area, ctx, window): name for name, area in AREAS.items()}
    wait(looks, timeout=SECONDS + _MORE_SECONDS)
    pool.shutdown(wait=False, cancel_futures=True)
    found = together(tuple(_parts(looks)))
    known = status.result()
    lines, unread = texts.newest(ctx, window) if request.texts else ({}, ())
    answer = Diagnosis(
        time=now,
        took_seconds=0.0,
        since=window.since,
        status=known,
        signs=found.signs,
        uses=found.uses,
        visits=found.visits,
        storage=found.storage,
        machine=found.machine,
        services=found.services,
        lookups=found.lookups,
        changes=found.changes,
        unread=(*found.unread, *unread),
        texts=lines,
    )
    answer = masks.masked(answer, masks.of_app(ctx.at))
    return replace(answer, took_seconds=boottime() - began)


def _parts(looks: "Dict[Future[Found], str]") -> List[Found]:
    """What each area found, or why it found nothing: one area's failure hides no other's result."""
    parts = []
    for look, name in looks.items():
        if not look.done():
            parts.append(Found(unread=(f"{name}: took longer than {SECONDS:.0f} s",)))
            continue
        try:
            parts.append(look.result())
        except Exception as error:  # a log may hold anything, and that must not hide the others
            parts.append(Found(unread=(f"{name}: {described(error)}",)))
    return parts
