"""Why a host cannot take a release now; pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cartwheel.plan import web_server
from cartwheel.plan.host_plan import Refusal
from cartwheel.plan.site import site_refusals
from cartwheel.plan.tls import tls_refusals
from cartwheel.settings import names
from cartwheel.settings.patterns import toml_list
from cartwheel.settings.toml_tables import Settings

if TYPE_CHECKING:
    from cartwheel.build.products import Artifact
    from cartwheel.host.wire.facts import Facts
    from cartwheel.host.wire.locking import Mark
    from cartwheel.host.wire.marks import Stopped

# A small virtual environment with its bytecode takes some 30 MB.
MIN_FREE_BYTES = 64 << 20
MIN_FREE_INODES = 5000  # a Flask venv with its bytecode is about 1500

# Without these facts the rest of a plan cannot be made.
BLINDING = frozenset(("not-set-up", "python-version", "no-systemd"))


def refusals(settings: Settings, facts: Facts, *, has_web: bool = True) -> tuple[Refusal, ...]:
    """All reasons why this host cannot take a release now. `has_web`: it runs web, and so it needs
    a web server."""
    of_web = (
        *_web_server(settings, facts),
        *_port_taken(settings, facts),
        *site_refusals(settings, facts),
        *tls_refusals(settings, facts),
    )
    return (
        *_not_ready(settings, facts),
        *_python(settings, facts),
        *_installer(settings, facts),
        *_marks(facts),
        *_no_room(settings, facts),
        *(of_web if has_web else ()),
    )


def _not_ready(settings: Settings, facts: Facts) -> Iterator[Refusal]:
    if facts.host.systemd is None:
        yield Refusal("no-systemd", "systemd is not running on this host")
    if facts.app.digest_key is None:
        yield Refusal("not-set-up", f"the host is not set up for {settings.slug}")


def _web_server(settings: Settings, facts: Facts) -> Iterator[Refusal]:
    wanted = names.web_server(settings).name
    if facts.other_site:
        what = f"{facts.other_site} stands, and web.server is {wanted}"
        yield Refusal("web-server-changed", what)
        return
    if facts.web_server is not None and facts.prepared_for not in ("", wanted):
        what = f"the host is prepared for {facts.prepared_for}, and web.server is {wanted}"
        yield Refusal("not-set-up", what)
    if facts.web_server is None:
        if facts.app.digest_key is not None:
            yield Refusal("not-set-up", f"the host has no {wanted}")
        return
    if not facts.web.folder:
        yield Refusal("not-set-up", web_server.unread(facts.web))
    elif not facts.web.reads:
        yield Refusal("site-unread", web_server.unread(facts.web))
    if web_server.is_masked(facts.web) and not web_server.is_up(settings, facts):
        yield Refusal("web-server-masked", f"{wanted} does not run, and its unit is masked")


def _python(settings: Settings, facts: Facts) -> Iterator[Refusal]:
    if facts.python is None:
        why = f": {facts.no_python}" if facts.no_python else ""
        yield Refusal("python-version", f"there is no Python {settings.app.python}{why}")
    elif facts.python.obstacle:
        who = names.user(settings)
        yield Refusal("python-reach", f"{who} cannot run Python: {facts.python.obstacle}")


def _installer(settings: Settings, facts: Facts) -> Iterator[Refusal]:
    if settings.deploy.installer == "uv" and facts.uv is None:
        yield Refusal("no-uv", "deploy.installer is uv, and the host has no uv")


def _marks(facts: Facts) -> Iterator[Refusal]:
    """Refusals that a person asked for: `fab lock.hold`, `fab stop`."""
    if facts.app.freeze:
        yield held_refusal(facts.app.freeze)
    if facts.app.stopped:
        yield stopped_refusal(facts.app.stopped)


def stopped_refusal(mark: Stopped) -> Refusal:
    """The mark of `fab stop`: who, when and, if given, why."""
    why = f": {mark.message}" if mark.message else ""
    return Refusal("stopped", f"stopped by {mark.who} since {mark.since}{why}")


def held_refusal(mark: Mark) -> Refusal:
    """The mark of `fab lock.hold`."""
    return Refusal("held", f"frozen by {mark.owner} since {mark.since} ({mark.message})")


def _no_room(settings: Settings, facts: Facts) -> Iterator[Refusal]:
    base = settings.host.base
    if facts.free_bytes < MIN_FREE_BYTES:
        yield Refusal("disk-full", f"{base} has {facts.free_bytes >> 20} MB left")
    if facts.free_inodes < MIN_FREE_INODES:
        yield Refusal("disk-full", f"{base} has {facts.free_inodes} inodes left")


def _port_taken(settings: Settings, facts: Facts) -> Iterator[Refusal]:
    holder = facts.ports.get(str(settings.web.listen))
    if holder not in (None, names.web_server(settings).program):
        yield Refusal("port-taken", f"port {settings.web.listen} is used by {holder}")


def left_out(settings: Settings, facts: Facts, artifact: Artifact) -> tuple[Refusal, ...]:
    """Files in the live release that the new one would lack although the project still has them."""
    missed = [
        name for name in artifact.left_out if any(_is_in(name, path) for path in facts.app.carried)
    ]
    if not missed:
        return ()
    include = toml_list((*settings.app.include, *missed))
    exclude = toml_list((*settings.app.exclude, *missed))
    return (
        Refusal(
            "left-out",
            f"the live release contains {', '.join(missed)}, but the new one would not: "
            f"app.include = {include} keeps it, app.exclude = {exclude} drops it",
        ),
    )


def _is_in(name: str, path: str) -> bool:
    """Whether `path` is this file, or in this folder (which has a slash at its end)."""
    return path.startswith(name) if name.endswith("/") else path == name
