"""The instances of a release: where one more can start, and how one ends.

An instance that was asked to stop ends in its unit's own time (TimeoutStopSec, from
`deploy.drain_seconds`), with the requests that it has. systemd sees to that: the session that
asked may be long gone, and nobody hurries it. Until it has ended its slot is taken, and its
release stays, with its unit file (a unit without its file has systemd's default time after
anybody's daemon-reload). It is in nobody's way: who needs that release takes another slot.
"""

from __future__ import annotations

from typing import Iterable, Optional

from cartwheel.host.layout import OLD_SLOTS, Layout, slots
from cartwheel.host.process import drain
from cartwheel.host.system import systemd
from cartwheel.host.wire.instance import WEB, Instance

# Most are quiet, and have ended, after this.
PATIENCE_SECONDS = 5.0


def free(at: Layout, release: str, *, but: Optional[Instance] = None) -> Optional[Instance]:
    """The first of which systemd has nothing loaded, not even what still ends; None where all
    slots are taken, which only a release of an earlier version knows."""
    taken = {*systemd.loaded(at), but}
    return next((one for one in _possible(at, release) if one not in taken), None)


def _possible(at: Layout, release: str) -> Iterable[Instance]:
    """An earlier version's release keeps the slots that it was made with: what puts the host in
    order after a power cut may be of that version too, until the next deploy."""
    old = [Instance(WEB, release, slot) for slot in OLD_SLOTS]
    return [one for one in old if at.unit_source(one).exists()] or (
        Instance(WEB, release, slot) for slot in slots()
    )


def ensure_running(at: Layout, one: Instance, *, but: Optional[Instance] = None) -> Instance:
    """Start what should serve, unless it runs; the instance that does. That is another one where
    the one there is about to end."""
    active = systemd.state(at.unit(one)).active
    if active in systemd.RUNNING:
        return one
    if active == systemd.STOPPING:
        # Without a free one it starts as soon as the other one has ended.
        one = free(at, one.release, but=but) or one
    systemd.install(at, one)
    systemd.start(None, at.unit(one))
    return one


def retire(at: Layout, one: Instance) -> None:
    """Let an instance that gets no more traffic finish what it has, and end; wait some seconds
    for that, so that mostly nothing is left for whoever comes next."""
    if systemd.instances(at).get(one) == systemd.STOPPING:
        return
    asked = ask_to_end(at, one, drain.Quiet(at.socket(one)))
    if asked and systemd.ends(at.unit(one), within_seconds=PATIENCE_SECONDS):
        systemd.forget_failure(at.unit(one))


def ask_to_end(at: Layout, one: Instance, quiet: drain.Quiet) -> bool:
    """Ask an instance to end once nothing waits to be accepted by it; False: its workers are all
    taken, and systemd asks it later. Once gunicorn is asked it takes no more connections, and
    those that wait would be lost."""
    unit = at.unit(one)
    is_taken = systemd.state(unit).is_up and not quiet.wait(PATIENCE_SECONDS)
    if is_taken and systemd.stop_when_quiet(at, one):
        return False
    systemd.stop(unit)
    return True
