"""Ask a certificate authority for a certificate, with the distribution's certbot.

Its exit code and its output do not say what happened: what counts is the certificate that is there
afterwards, and what the authority has answered, which is in its log.
"""

from __future__ import annotations

import contextlib
import shutil
import ssl
import time
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from cartwheel.host import layout
from cartwheel.host.layout import Layout
from cartwheel.host.system import children, files, locks
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.web import ca_words, lineages
from cartwheel.host.web.lineages import Lineage
from cartwheel.host.web.order import fits
from cartwheel.host.wire.tls import Order

PACKAGES: Tuple[str, ...] = ("certbot",)
_PROGRAM = "certbot"
_PATH = "/usr/local/bin:/usr/bin:/bin"
_SECONDS = 300.0
_PATIENCE_SECONDS = 300.0
_ATTEMPTS = 3
_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
# The host's own settings of certbot, which would count here too, such as another way to prove a
# name. No option of certbot leaves them out.
_OWN_SETTINGS = "/etc/letsencrypt/cli.ini"
_ALONE = 'set -e; if [ -e "$0" ]; then mount --bind /dev/null "$0"; fi; exec "$@"'
# Its staging is for tries: it has other limits.
_STAGING = {
    "https://acme-v02.api.letsencrypt.org/directory": (
        "https://acme-staging-v02.api.letsencrypt.org/directory"
    )
}
CHALLENGES = ".well-known"


def is_there() -> bool:
    """Whether this host has it."""
    return shutil.which(_PROGRAM, path=_PATH) is not None


@contextlib.contextmanager
def alone(ctx: Optional[Context] = None) -> Iterator[None]:
    """One at a time on a host: certbot refuses a second run in its folder at once, and does not
    wait. Raises OpError("locked")."""
    holder = {"owner": "cartwheel (certbot)", "since": time.strftime("%H:%M:%S")}
    lock = locks.acquire(layout.ACME_LOCK, holder, wait_seconds=_PATIENCE_SECONDS, ctx=ctx)
    try:
        yield
    finally:
        lock.release()


def obtain(ctx: Context, at: Layout, order: Order, *, now: bool) -> Lineage:
    """A lineage whose certificate fits the order, and was just issued if it is wanted `now`; the
    authority is asked only where that is needed. The caller is `alone`.

    Raises OpError("acme") in the authority's words, and "no-certbot".
    """
    one = Lineage(lineages.home_of(order), at.app)
    if not one.is_whole():
        one.remove()
    if not now and fits(one.validity(), order, time.time()):
        return one
    before = files.sha256_of(one.chain)
    _run(ctx, at, order, one, dry_run=False)
    if ca_words.is_account_unknown(one.log_text()):
        # The authority has forgotten it, for example with its disk: there is nothing to keep.
        files.remove_tree(one.accounts)
        _run(ctx, at, order, one, dry_run=False)
    files.sync_filesystem(one.home)  # certbot syncs nothing
    after = files.sha256_of(one.chain)
    if after is None or after == before or not fits(one.validity(), order, time.time()):
        raise _refusal(order, one)
    return one


def rehearse(ctx: Context, at: Layout, order: Order) -> None:
    """Ask for a certificate that is thrown away. Raises OpError as `obtain` does."""
    one = Lineage(lineages.home_of(order), at.app)
    if _run(ctx, at, order, one, dry_run=True).status != 0:
        raise _refusal(order, one)


def _run(ctx: Context, at: Layout, order: Order, one: Lineage, *, dry_run: bool) -> children.Done:
    if not is_there():
        raise OpError("no-certbot", "the host has no certbot")
    for folder in (layout.STATE, lineages.top(), one.home):
        files.directory(folder, 0o755 if folder == layout.STATE else 0o700)
    files.directory(at.acme_webroot, 0o755)
    if not one.can_ask():
        files.remove_tree(one.accounts)  # it makes another one
    for _attempt in range(_ATTEMPTS):
        done = _certbot(ctx, at, order, one, dry_run=dry_run)
        if done.status == 0 or not ca_words.is_passing(one.log_text()):
            break
    return done


def _certbot(
    ctx: Context, at: Layout, order: Order, one: Lineage, *, dry_run: bool
) -> children.Done:
    files.remove(one.log)
    try:
        return children.run(
            ctx,
            [
                "unshare",
                "--mount",
                "sh",
                "-c",
                _ALONE,
                _OWN_SETTINGS,
                *_argv(at, order, one, dry_run),
            ],
            timeout_seconds=_SECONDS,
            env=_environment(at, order, one),
            step="tls",
            doing=lambda _lines: f"asking {order.directory}",
        )
    finally:
        files.remove_tree(challenges(at))
        one.tidy()


def _argv(at: Layout, order: Order, one: Lineage, dry_run: bool) -> List[str]:
    server = _STAGING.get(order.directory, order.directory) if dry_run else order.directory
    home = str(one.home)
    # Named, because its default depends on certbot's version.
    argv = [_PROGRAM, "certonly", "--non-interactive", "--agree-tos", "--key-type", "ecdsa"]
    argv += ["--config-dir", home, "--work-dir", home + "/work", "--logs-dir", str(one.log.parent)]
    argv += ["--server", server, "--webroot", "--webroot-path", str(at.acme_webroot)]
    argv += ["--cert-name", at.app, "--renew-with-new-domains", "--max-log-backups", "0"]
    # Whether it is due is decided here: certbot 2.1 only knows thirty days.
    argv += ["--dry-run"] if dry_run else ["--force-renewal"]
    argv += ["--email", order.mail, "--no-eff-email"] if order.mail else []
    argv += [] if order.mail else ["--register-unsafely-without-email"]
    return argv + [word for name in order.names for word in ("--domain", name)]


def _environment(at: Layout, order: Order, one: Lineage) -> Dict[str, str]:
    known = {"HOME": str(one.home)}  # certbot looks for settings there too
    if order.roots:
        # A file, and all of it: certbot does not keep the root of a private CA.
        files.write(at.tls_roots, _system_roots() + order.roots.encode(), 0o600)
        known["REQUESTS_CA_BUNDLE"] = str(at.tls_roots)
    return known


def _system_roots() -> bytes:
    found = ssl.get_default_verify_paths().cafile
    for path in (Path(found) if found else _BUNDLE, _BUNDLE):
        if path.is_file():
            return path.read_bytes() + b"\n"
    return b""


def _refusal(order: Order, one: Lineage) -> OpError:
    said = ca_words.words(one.log_text()) or f"certbot gave no reason; see {one.log}"
    names = ", ".join(order.names)
    return OpError("acme", f"{order.directory} gave no certificate for {names}: {said}")


def challenges(at: Layout) -> Path:
    """The folder of the answers to challenges."""
    return at.acme_webroot / CHALLENGES


def is_cut_off(at: Layout) -> bool:
    """Whether a killed run has left such answers; while one is at work there are some too."""
    return challenges(at).exists()
