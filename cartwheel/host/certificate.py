"""Let the web server read its certificate again where the file has another one than is served.

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
from cartwheel.host.system.context import OpError
from cartwheel.host.web import configuration, tls, tls_change
from cartwheel.host.web.kinds import web_server

# Who writes certificate and key writes one after the other: in between they do not fit.
_ATTEMPTS = 5
_PAUSE_SECONDS = 2.0


def main(argv: Optional[List[str]] = None) -> int:
    app, base = (argv if argv is not None else sys.argv[1:])[:2]
    at = Layout(app, Path(base))
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            if read_again(at):
                _say(f"{app}: the web server uses the new certificate")
            return 0
        except (OpError, OSError) as error:
            if attempt == _ATTEMPTS:
                _say(f"{app}: {error}")
        time.sleep(_PAUSE_SECONDS)
    return 1


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - for systemd's journal


def read_again(at: Layout) -> bool:
    """Reload the web server if that is needed; whether it was. Raises OpError."""
    state = tls.state(at)
    if state is None or tls_change.is_owed(at) or tls.is_served(state):
        return False
    web = web_server()
    with locks.shared_parts():
        configuration.refuse_broken(None, web, web.broken)
        configuration.reload(None, web, start=False)
        tls_change.prove(at, tls.site_name(at))
    return True


if __name__ == "__main__":
    sys.exit(main())
