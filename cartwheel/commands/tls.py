"""The certificate and the key of [tls]: read and checked here, before any host gets them."""

from __future__ import annotations

import time
from pathlib import Path

from cartwheel.commands.ask import Answers, read
from cartwheel.commands.scene import Scene
from cartwheel.errors import UsageError, first_of
from cartwheel.hidden import Hidden
from cartwheel.host.wire.tls import AskTls, TlsState
from cartwheel.plan.tls import Brought
from cartwheel.settings import certificates
from cartwheel.settings.certificates import CertificateError, Pair
from cartwheel.settings.toml_tables import Settings
from cartwheel.settings.variables import Taken, resolve_secret

_NOT_TAKEN: Taken = {}


def status(scene: Scene) -> Answers[TlsState | None]:
    """How each host serves HTTPS."""
    return read(scene, AskTls())


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
    try:
        if tls.ca is not None:
            roots = certificates.roots_in(_read(project, tls.ca, "tls.ca"))
    except CertificateError as error:
        raise UsageError("bad-certificate", f"tls.ca: {tls.ca} {error}") from None
    try:
        pair, wrong = certificates.check(data, settings.web.server_names, roots, time.time())
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
