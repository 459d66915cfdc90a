"""Where names lead, as this machine sees it. It may see something else than the world does, so this
gives advice only."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Mapping

from cartwheel.commands.scene import Scene, located
from cartwheel.errors import CartwheelError
from cartwheel.plan.acme import dns_notes

_SECONDS = 3.0  # a name server may take longer than anybody wants to wait for advice


def notes(scene: Scene, names: Iterable[str]) -> list[str]:
    """What to know about the addresses of these names, which are to lead to the chosen hosts."""
    try:
        where = located(scene, scene.chosen)
    except CartwheelError:
        return []
    found = addresses_of({*names, *where.values()})
    hosts = {host: found[address] or [] for host, address in where.items()}
    return list(dns_notes({name: found[name] for name in names}, hosts))


def addresses_of(names: Iterable[str]) -> Mapping[str, list[str] | None]:
    """The addresses of each name, asked side by side; None where nobody answered in time."""
    found: dict[str, list[str] | None] = dict.fromkeys(names)

    def ask(name: str) -> None:
        try:
            answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            found[name] = sorted({str(one[4][0]) for one in answers})
        except socket.gaierror as error:
            unknown = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
            found[name] = [] if error.errno in unknown else None
        except OSError:
            pass

    threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_SECONDS)
    return dict(found)
