"""Whether failures are more than chance."""

from __future__ import annotations

import math


def chance(failed: float, count: float, share: float) -> float:
    """Upper bound (Chernoff) of the probability that at least `failed` of `count` requests fail, if
    each one fails with the probability `share`."""
    if count <= 0 or failed <= 0:
        return 1.0
    part = min(1.0, failed / count)
    if part <= share:
        return 1.0
    distance = part * math.log(part / share)
    if part < 1.0:
        distance += (1.0 - part) * math.log((1.0 - part) / (1.0 - share))
    return math.exp(-count * distance)
