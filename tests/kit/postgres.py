"""A PostgreSQL on a lab host that other lab hosts reach (its image has the PACKAGES)."""

from __future__ import annotations

from cartwheel_lab import LabHost
from tests.kit.waiting import until

PACKAGES = "postgresql"
# Lab hosts reach each other at this port only, and it leads to port 80 (cartwheel_lab.forwarder).
PORT = 3143

_SERVE = """
sysctl -qw net.ipv4.ip_unprivileged_port_start=80
cd /etc/postgresql/*/main
echo 'host all all 127.0.0.0/8 scram-sha-256' >>pg_hba.conf
printf "port = 80\\nlisten_addresses = '*'\\n" >>postgresql.conf
systemctl restart postgresql
"""


def serve(host: LabHost, name: str, password: str) -> None:
    """Run it, with a database and a user of this name."""
    host.sh(_SERVE)
    until(lambda: ":80 " in host.sh("ss -Hltn"), shown="PostgreSQL")
    for one in (
        f"CREATE USER {name} PASSWORD '{password}'",
        f"CREATE DATABASE {name} OWNER {name}",
    ):
        ask(host, "postgres", one)


def ask(host: LabHost, database: str, statement: str) -> str:
    """What the server answers to this SQL."""
    host.path("/tmp/statement.sql").write_text(statement)
    asking = f"psql -p 80 -At -v ON_ERROR_STOP=1 -f /tmp/statement.sql {database}"
    return host.sh(f"runuser -u postgres -- {asking}").strip()
