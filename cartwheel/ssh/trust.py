"""For `fab hosts.trust`: gets a host's key without trusting it."""

from __future__ import annotations

import paramiko

from cartwheel.ssh import revoked
from cartwheel.ssh.connection import Gateways, failures, raw_socket, transport_for
from cartwheel.ssh.known_hosts import HostKey, is_known, record, recorded_in
from cartwheel.ssh.target import Target

__all__ = ["fetch_key", "is_known", "record", "recorded_in"]


def fetch_key(target: Target, gateways: Gateways) -> HostKey:
    """The host's key; nothing is sent to the host, and nothing is saved.

    Gateways on the way are checked as always. Raises ConnectError.
    """
    with failures(target):
        transport = transport_for(target)(raw_socket(target, gateways))
        try:
            transport.banner_timeout = target.connect_timeout_seconds
            transport.start_client(timeout=target.connect_timeout_seconds)
            key: paramiko.PKey = transport.get_remote_server_key()
        finally:
            transport.close()
    shown = HostKey(key.get_name(), key.asbytes())
    revoked.check(target, shown)
    return shown
