"""What [tls] names: read and checked here, before any host gets it; and HTTPS on the hosts."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from cartwheel.commands.ask import Answers, read
from cartwheel.commands.balancing import balancers
from cartwheel.commands.scene import Scene, connect, for_hosts, raise_failures
from cartwheel.errors import UsageError, first_of
from cartwheel.fleet.locking import lock_all
from cartwheel.fleet.sessions import Result, one_after_another
from cartwheel.hidden import Hidden
from cartwheel.host.wire.request import Done
from cartwheel.host.wire.tls import AskTls, End, Order, TlsState
from cartwheel.plan import steps
from cartwheel.plan.acme import order_of
from cartwheel.plan.tls import Brought
from cartwheel.settings import certificates
from cartwheel.settings.certificates import CertificateError, Pair
from cartwheel.settings.toml_tables import Settings
from cartwheel.settings.variables import Taken, resolve_secret

_NOT_TAKEN: Taken = {}
Source: TypeAlias = Brought | Order | None


def status(scene: Scene) -> Answers[TlsState | None]:
    """How each host serves HTTPS, and each balancer where it ends there."""
    return read(_with_ends(scene), AskTls())


def _with_ends(scene: Scene) -> Scene:
    """If no host was chosen: without balancers that have nothing to do with HTTPS."""
    was_chosen = scene.typed.hosts or scene.typed.narrowing
    if was_chosen or scene.settings.tls_end == "balancer":
        return scene
    return replace(scene, chosen=tuple(host for host in scene.chosen if scene.runs_app(host)))


def renew(scene: Scene, *, dry_run: bool) -> dict[str, Result[Done]]:
    """Each host asks for a new certificate, one after the other; the failure of each.

    Raises UsageError("settings") if the hosts ask for none."""
    if not scene.settings.tls.acme:
        raise UsageError("settings", "tls.acme is not true, so hosts ask for no certificate")
    if scene.settings.tls_end == "balancer":
        names = [host.name for host in balancers(scene)]
        scene = for_hosts(scene, tuple(names))
        if not scene.chosen:
            raise UsageError("no-hosts", f"HTTPS ends at the balancers: name {', '.join(names)}")
    scene = _with_ends(scene)
    with connect(scene, changing=True) as fleet:
        raise_failures(lock_all(fleet, scene.hosts, scene.terms))
        return one_after_another(fleet, dict.fromkeys(scene.hosts, steps.renew(dry_run=dry_run)))


def source_of(scene: Scene, end: End) -> Source:
    """Where the certificate of these sites comes from; None: their hosts have it, or HTTPS does not
    end there. Raises as `certificate_of`."""
    settings = scene.settings
    if settings.tls_end != end:
        return None
    if settings.tls.acme:
        return order_of(settings, roots_of(settings, scene.project))
    return certificate_of(settings, scene.project, scene.taken)


def roots_of(settings: Settings, project: Path) -> str:
    """The roots of a private CA as PEM; "" without one. Raises UsageError."""
    if settings.tls.ca is None:
        return ""
    data = _read(project, settings.tls.ca, "tls.ca")
    _roots(settings, data)
    return data.decode(errors="replace")


def _roots(settings: Settings, data: bytes) -> list[bytes]:
    try:
        return certificates.roots_in(data)
    except CertificateError as error:
        raise UsageError("bad-certificate", f"tls.ca: {settings.tls.ca} {error}") from None


def certificate_of(settings: Settings, project: Path, taken: Taken = _NOT_TAKEN) -> Brought | None:
    """The certificate that a deploy brings to the hosts, and its key; None if it brings none.

    Raises UsageError("bad-certificate") with everything that is wrong, and UsageError("secret").
    """
    if settings.tls.certificate is None or settings.tls.key is None:
        return None
    key = resolve_secret(settings.tls.key, project, "tls.key", taken)
    return Brought(_checked(settings, project, key), Hidden(key.reveal() + "\n"))


def check_certificate(settings: Settings, project: Path) -> None:
    """The same where no command may run and no variable be set: the key is checked if it is a file
    that is there."""
    tls = settings.tls
    if tls.acme:
        roots_of(settings, project)
    if tls.certificate is None or tls.key is None:
        return
    key: Hidden | None = None
    if tls.key.file is not None and (project / Path(tls.key.file).expanduser()).exists():
        key = resolve_secret(tls.key, project, "tls.key")
    _checked(settings, project, key)


def _checked(settings: Settings, project: Path, key: Hidden | None) -> Pair:
    tls = settings.tls
    data = _read(project, tls.certificate or "", "tls.certificate")
    roots = certificates.system_roots()
    if tls.ca is not None:
        roots = _roots(settings, _read(project, tls.ca, "tls.ca"))
    try:
        pair, wrong = certificates.check(data, settings.web.names, roots, time.time())
    except CertificateError as error:
        raise UsageError("bad-certificate", f"tls.certificate: {tls.certificate} {error}") from None
    lines = [f"tls.certificate: {tls.certificate} {one}" for one in wrong]
    if key is not None:
        source = tls.key.file if tls.key and tls.key.file else "it"
        lines += [f"tls.key: {source} {one}" for one in certificates.check_key(key.reveal(), pair)]
    if lines:
        raise UsageError("bad-certificate", first_of(lines), detail="\n".join(lines))
    return pair


def _read(project: Path, name: str, setting: str) -> bytes:
    try:
        return (project / Path(name).expanduser()).read_bytes()
    except OSError as error:
        raise UsageError("bad-certificate", f"{setting}: {name}: {error.strerror}") from None
