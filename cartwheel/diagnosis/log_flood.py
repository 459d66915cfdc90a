"""Logs that are written too fast."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel.diagnosis import telling
from cartwheel.diagnosis.cause import GUESSED, SYMPTOM, Case, Cause

# journald keeps 10000 lines of a unit in 30 s (RateLimitBurst= in journald.conf(5)), up to
# six times as many where the disk has much room, and throws the rest away.
_MOST_A_MINUTE = 20000
# A line for each of 100 requests a second is 6000 a minute: more of one text is no access log.
_SAME_A_MINUTE = 6000


def causes(case: Case) -> Iterator[Cause]:
    """By what journald threw away, or by the number of lines."""
    lost = {one.about: one for one in case.signs("flood-lost")}
    same = {one.about: one for one in case.signs("flood-text")}
    for sign in case.signs("flood"):
        thrown, text = lost.get(sign.about), same.get(sign.about)
        repeated = text.count if text else 0
        too_many = sign.count >= _MOST_A_MINUTE or repeated >= _SAME_A_MINUTE
        if not too_many and not thrown:
            continue
        evidence = [f"{sign.count} lines in a minute"]
        if text and text.lines:
            evidence.append(f"about {repeated} of them like: {telling.short(text.lines[0])}")
        if thrown:
            evidence.append(f"journald threw away {thrown.count} lines of it")
        yield Cause(
            "log-flood",
            f"{sign.about} floods the log: {sign.count} lines in a minute",
            "log less there: a lower level, or not in a loop",
            GUESSED if thrown or sign.count >= _MOST_A_MINUTE else SYMPTOM,
            tuple(evidence),
            sign.first,
            max(one.last for one in (sign, text, thrown) if one),
            frozenset({"disk-full", "disk-soon", "slow"}),
        )
