"""All areas that are looked at, by the name that a person reads."""

from __future__ import annotations

from typing import Dict

from cartwheel.host.diagnose import (
    app_log,
    changed,
    history,
    kernel,
    lookups,
    machine,
    services,
    storage,
    units,
    uses,
    visits,
    web_errors,
)
from cartwheel.host.diagnose.found import Area

AREAS: Dict[str, Area] = {
    "Cartwheel's history": history.look,
    "requests": visits.look,
    "web server errors": web_errors.look,
    "file systems": storage.look,
    "the host": machine.look,
    "services": services.look,
    "names": lookups.look,
    "changes": changed.look,
    "the app's messages": app_log.look,
    "the app's units": units.look,
    "what the app uses": uses.look,
    "the kernel's messages": kernel.look,
}
