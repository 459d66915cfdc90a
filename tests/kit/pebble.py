"""A certificate authority for tests on a lab host: Pebble, which forgets everything at its end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from cartwheel_lab import LabHost
from tests.kit.certificates import authority, certificate
from tests.kit.waiting import until
from tests.kit.web_servers import Server

DIRECTORY = "https://ca.example.org:14000/dir"
BLOCKED = "blocked.example.org"

_ROOT = authority("Test API Root")
_API = certificate("ca.example.org", by=_ROOT)
# It checks each time. As it does by default, it refuses a nonce now and then (RFC 8555, 6.5).
_QUICK = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0"}
_FOLDER = "/etc/test-ca"
_UNIT = "test-ca"


@dataclass
class Pebble:
    """It listens on `host`, and knows where the names lead from the host's /etc/hosts. `roots`: of
    its API and of its certificates, which change with each start."""

    host: LabHost
    roots: str = _ROOT.pem
    web_port: int = 80

    def start(self, *, days: float = 90, env: Mapping[str, str] = {}) -> None:
        """Start it; certificates are valid for so many days."""
        settings = {
            "listenAddress": "0.0.0.0:14000",
            "managementListenAddress": "127.0.0.1:15000",
            "certificate": f"{_FOLDER}/api.pem",
            "privateKey": f"{_FOLDER}/api.key",
            "httpPort": self.web_port,
            "tlsPort": 443,
            "domainBlocklist": [BLOCKED],
            "certificateValidityPeriod": round(days * 86400),
        }
        self._write("pebble.json", json.dumps({"pebble": settings}))
        self._write("api.pem", _API.pem)
        self._write("api.key", _API.key)
        self._write("root.pem", _ROOT.pem)
        variables = "".join(f" -E {key}={value}" for key, value in {**_QUICK, **env}.items())
        self.host.sh(
            f"systemctl reset-failed {_UNIT} 2>/dev/null ||:;"
            f" systemd-run -q --unit={_UNIT}{variables} pebble -config {_FOLDER}/pebble.json"
        )
        ask = f"curl -sS --cacert {_FOLDER}/root.pem --resolve ca.example.org:15000:127.0.0.1"
        url = "https://ca.example.org:15000/roots/0"
        until(lambda: "BEGIN" in self.host.sh(f"{ask} {url} 2>/dev/null ||:"), shown="Pebble")
        self.roots = _ROOT.pem + self.host.sh(f"{ask} {url}") + "\n"

    def _write(self, name: str, text: str) -> None:
        self.host.sh(f"mkdir -p {_FOLDER}; cat >{_FOLDER}/{name} <<'.'\n{text}\n.")

    def stop(self) -> None:
        self.host.sh(f"systemctl stop {_UNIT}")

    def said(self) -> str:
        """Its log."""
        self.host.sh("journalctl --sync")
        return self.host.sh(f"journalctl -u {_UNIT} -o cat --no-pager")

    def orders(self) -> int:
        """How many certificates it was asked for since its start."""
        return self.said().count("POST /order-plz")

    def signal(self, name: str) -> None:
        self.host.sh(f"systemctl kill -s {name} {_UNIT}")


def packages(server: Server) -> str:
    """What its host needs; every host that asks it has certbot."""
    return server.packages + ",certbot,pebble"


def bring(source: LabHost, host: LabHost) -> None:
    """Bring the program to a host of another Debian, with the libraries that it needs."""
    needed = "/usr/bin/pebble $(ldd /usr/bin/pebble | grep -o '/[^ ]*')"
    packed = source.exec(["sh", "-c", f"tar -chP {needed}"]).stdout
    place = "/opt/test-ca"
    unpack = f"mkdir -p {place}; tar -x -C {place}"
    host.exec(["sh", "-euc", unpack], input=packed)
    run = f"exec {place}/lib64/ld-linux-x86-64.so.2 --library-path {place}/lib/x86_64-linux-gnu"
    script = f'#!/bin/sh\n{run} {place}/usr/bin/pebble "$@"\n'
    host.exec(
        ["sh", "-euc", "cat >/usr/bin/pebble; chmod 755 /usr/bin/pebble"], input=script.encode()
    )


def knows(host: LabHost, *names: str, address: str = "127.0.0.1") -> None:
    """These names lead there, for everybody on the host."""
    host.sh(f"echo {address} {' '.join(names)} >>/etc/hosts")
