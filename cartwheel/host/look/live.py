"""What `fab watch` shows: the same that a monitor sees, for a session that is open already."""

from __future__ import annotations

import json
import time

from cartwheel.host.system.context import Context, OpError
from cartwheel.host.watch import cursor, look
from cartwheel.host.wire.codec import from_disk
from cartwheel.host.wire.look import PROTOCOL, AskLook, HostLook


def live(_ctx: Context, request: AskLook) -> HostLook:
    """One look. Raises OpError("host-side") for a cursor that is none."""
    since = request.cursor or None
    if since is not None and not cursor.is_one(since):
        raise OpError("host-side", "the cursor is of another version")
    told = {"protocol": PROTOCOL, "time": time.time(), **look.whole(since)}
    return from_disk(HostLook, json.loads(json.dumps(told)))
