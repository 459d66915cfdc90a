"""What a reload of Apache needs besides a valid configuration: it may end Apache, and all sites.

At a reload, Apache ends where it cannot listen on a port or use a certificate. Its own test
(`apache2ctl -t`) looks at neither. And each process of the time before lives as long as its last
connection, e.g. a websocket: once such processes fill the scoreboard, nobody is answered.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import ssl
from pathlib import Path
from typing import Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from cartwheel.host.system import sockets, systemd
from cartwheel.host.web import apache_config
from cartwheel.host.web.apache_config import Configuration, Directive

_PROGRAM = "apache2"
_PID_FILE = Path("/run/apache2/apache2.pid")


def overlooked(config: Configuration, laid: Sequence[Tuple[str, str]]) -> str:
    """The first problem that would end Apache at a reload, in the words of its test; "" if none.
    `laid` are files and folders, each with the place where it will be."""
    for where, said in itertools.chain(_ports(config), _certificates(config, laid)):
        return f"Syntax error on line {where.number} of {where.source}:\n{said}\n"
    return ""


def _ports(config: Configuration) -> Iterator[Tuple[Directive, str]]:
    for one in config.named("listen"):
        address, _, port = one.words[1].rpartition(":")
        holders = sockets.holders(int(port))
        if _PROGRAM not in holders and not sockets.may_listen(address.strip("[]*"), int(port)):
            by = f"is used by {', '.join(sorted(holders))}" if holders else "cannot be used"
            yield one, f"{one.words[1]} {by}, so Apache would end when it is reloaded"


def _certificates(
    config: Configuration, laid: Sequence[Tuple[str, str]]
) -> Iterator[Tuple[Directive, str]]:
    root = config.value("ServerRoot") or os.path.dirname(str(apache_config.MAIN))
    common = [one for one in config.directives if one.site is None and not one.inside]
    knows_passwords = config.value("SSLPassPhraseDialog").startswith(("exec:", "|"))
    for site in config.sites():
        engine = _values(site, "sslengine") or _values(common, "sslengine")
        if not engine or engine[-1].words[1].lower() != "on":
            continue
        pairs = _values(site, "sslcertificatefile") or _values(common, "sslcertificatefile")
        keys = _values(site, "sslcertificatekeyfile") or _values(common, "sslcertificatekeyfile")
        ciphers = _ciphers(site) or _ciphers(common) or "DEFAULT"
        if not pairs and "md" not in config.modules:
            yield engine[-1], "without SSLCertificateFile Apache would end when it is reloaded"
        for number, one in enumerate(pairs):
            key = keys[number] if number < len(keys) else one
            paths = [_now(os.path.join(root, each.words[1]), laid) for each in (one, key)]
            problem = _unusable(paths[0], paths[1], ciphers, knows_passwords)
            if problem:
                names = f"{one.words[1]} and {key.words[1]}"
                yield one, f"{names}: {problem}, so Apache would end when it is reloaded"


def _values(directives: Iterable[Directive], name: str) -> List[Directive]:
    return [one for one in directives if one.name == name and one.words[1:]]


def _ciphers(directives: Iterable[Directive]) -> str:
    """Those for TLS 1.2, which may name the security level too; "" where they are not said."""
    said = [one.words[1:] for one in _values(directives, "sslciphersuite")]
    found = [words[-1] for words in said if words[0].lower() != "tlsv1.3"]
    return found[-1] if found else ""


def _now(path: str, laid: Sequence[Tuple[str, str]]) -> str:
    """Where to read what will be at `path`."""
    real = os.path.realpath(path)
    for source, place in laid:
        onto = os.path.realpath(place)
        if real == onto or real.startswith(onto + "/"):
            return source + real[len(onto) :]
    return real


class _EncryptedError(Exception):
    pass


def _unusable(certificate: str, key: str, ciphers: str, knows_passwords: bool) -> str:
    """Why OpenSSL cannot use them together; "" if it can, or where that is not known."""

    def ask() -> str:
        raise _EncryptedError

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.set_ciphers(ciphers)  # with the security level, which decides what is too weak
        context.load_cert_chain(certificate, key, ask)
    except ssl.SSLError as error:
        reason = getattr(error, "reason", None) or "no certificate, key or cipher"
        return f"OpenSSL cannot use them together ({reason})"
    except _EncryptedError:
        return "" if knows_passwords else "the key has a password"
    except OSError:
        pass  # a missing file is found by Apache's test
    return ""


def main_pid(file: Path = _PID_FILE) -> int:
    """The main process, as it says itself; 0 where it does not run."""
    text = apache_config.on_disk(str(file)).strip()
    pid = int(text) if text.isdigit() else 0
    return pid if systemd.proc(pid, "comm").strip() == _PROGRAM else 0


def taking_connections(pids: Iterable[int]) -> Set[int]:
    """Processes of the time before a reload have closed the sockets that listen."""
    there = set(sockets.listening())
    return {pid for pid in pids if there & sockets.held_by(pid)}


def make_room(main_pid: int, limit: int) -> None:
    """End the oldest processes that only wait for their last connections, if the next reload would
    leave too few of `limit` processes to the new configuration."""
    pids = systemd.worker_pids(main_pid)
    active = taking_connections(pids)
    others = [pid for pid in pids if pid not in active]
    # Those that are active now will wait, and as many are needed again.
    most = max(0, limit - 2 * len(active) - 1)
    if not limit or len(others) <= most:
        return
    # Modules have processes of their own there too, but none that visitors are connected to.
    visitors = sockets.connected()
    waiting = sorted((pid for pid in others if visitors & sockets.held_by(pid)), key=_began)
    for pid in waiting[: max(0, len(waiting) - most)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)  # it waits for its threads, whatever SIGTERM says


def _began(pid: int) -> int:
    """When a process began, in ticks (proc(5), stat)."""
    fields: Optional[List[str]] = systemd.proc(pid, "stat").rpartition(")")[2].split() or None
    return int(fields[19]) if fields else 0
