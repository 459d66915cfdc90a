"""One line of JSON, for `--json` and for records."""

from __future__ import annotations

import json
import time


def as_line(**fields: object) -> str:
    """The fields with `at`, the operator's clock, in seconds since the epoch."""
    return json.dumps({**fields, "at": round(time.time(), 3)}, default=str)
