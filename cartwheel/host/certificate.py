"""Renew the certificate if a certificate authority is asked for it and it is due; and let the web
server read its certificate again where the file has another one than is served.

Installed as `certificate`; an hourly timer starts it, and a path unit where something else writes
the certificate (see `web.tls_watch`).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import List, Optional

from cartwheel.host.layout import Layout
from cartwheel.host.system import locks
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.web import acme, configuration, order, tls, tls_change
from cartwheel.host.web.chosen import web_server

# Who writes certificate and key writes one after the other: in between they do not fit.
_ATTEMPTS = 5
_PAUSE_SECONDS = 2.0
# A deploy may be at work. Both are within the unit's TimeoutStartSec.
_PATIENCE_SECONDS = 300.0
_RENEWAL_SECONDS = 700.0
_OWNER = "cartwheel certificate"


def main(argv: Optional[List[str]] = None) -> int:
    app, base = (argv if argv is not None else sys.argv[1:])[:2]
    at = Layout(app, Path(base))
    is_renewed = _renewed(at)
    return 0 if _is_read(at) and is_renewed else 1


def _is_read(at: Layout) -> bool:
    """Whether the web server uses what the file holds. systemd notices no change while this program
    runs, so where it watches the files, look until nothing has changed for some seconds."""
    is_watched, is_read = at.tls_unit("path").exists(), False
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            has_changed = read_again(at)
        except (OpError, OSError) as error:
            is_read = False
            if attempt == _ATTEMPTS:
                _say(f"{at.app}: {error}")
        else:
            if has_changed:
                _say(f"{at.app}: the web server uses the new certificate")
            if not is_watched or (is_read and not has_changed):
                return True
            is_read = True
        time.sleep(_PAUSE_SECONDS)
    return is_read


def _renewed(at: Layout) -> bool:
    """Whether nothing went wrong. In a freeze the certificate is renewed too: it is nobody's change
    of the application, and would end."""
    try:
        if renew(at):
            _say(f"{at.app}: the certificate is renewed")
    except (OpError, OSError) as error:
        _say(f"{at.app}: {error}")
        return False
    return True


def renew(at: Layout) -> bool:
    """Whether there is another certificate now. Never while a switch is pending, and not at once
    where a change of TLS could not be undone."""
    if order.read(at) is None:
        return False
    holder = {"owner": _OWNER, "since": time.strftime("%F %T")}
    lock = locks.acquire(at.lock, holder, wait_seconds=_PATIENCE_SECONDS)
    try:
        if at.pending.exists():
            return False
        tls_change.settle(at, _say)
        ctx = Context.of_program(at, _OWNER, _RENEWAL_SECONDS)
        return not tls_change.is_owed(at) and acme.renew_if_due(ctx, at)
    finally:
        lock.release()


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - for systemd's journal


def read_again(at: Layout) -> bool:
    """Reload the web server if that is needed; whether it was. Raises OpError."""
    state = tls.state(at)
    if state is None or not state.path or tls_change.is_owed(at) or tls.is_served(state):
        return False
    web = web_server(at)
    with locks.shared_parts():
        configuration.refuse_broken(None, web, web.broken)
        configuration.reload(None, web, start=False)
        tls_change.prove(at, tls.site_name(at))
    return True


if __name__ == "__main__":
    sys.exit(main())
