"""HTTPS of an application: a new certificate whenever it is wanted, and what is served."""

from __future__ import annotations

from cartwheel_lab import LabHost
from tests.kit.certificates import authority, certificate
from tests.kit.project import Project

NAME = "shop.example.org"
SETTINGS = """
[tls]
certificate = "shop.pem"
key = "shop.key"
ca = "root.pem"
redirect = false
"""
_ROOT = authority()
_LOOK = r"""
cd /srv/shop/tls 2>/dev/null || { echo "no folder"; exit 0; }
test ! -e pending.json || echo "a change of HTTPS is pending"
sets=$(ls -d [0-9a-f]* 2>/dev/null | wc -l)
test "$sets" -le 1 || echo "$sets sets of a certificate"
test -s site.conf || { echo "no HTTPS"; exit 0; }
python3 - <<'.'
import ssl
first = open("live/fullchain.pem").read().split("-----END")[0] + "-----END CERTIFICATE-----\n"
try:
    served = ssl.get_server_certificate(("127.0.0.1", 443), timeout=5)
except OSError as error:
    print("HTTPS does not answer:", error)
else:
    if ssl.PEM_cert_to_DER_cert(served) != ssl.PEM_cert_to_DER_cert(first):
        print("another certificate is served than the file holds")
.
"""
NOTHING = ("no folder", "no HTTPS")


def renew(project: Project, name: str = NAME) -> str:
    """Give the project a new certificate; returns it as PEM."""
    one = certificate(name, by=_ROOT)
    project.write("root.pem", _ROOT.pem)
    project.write("shop.pem", one.pem)
    project.write("shop.key", one.key)
    return one.pem


def wrong(host: LabHost) -> list[str]:
    """What is not in order; `NOTHING` where there is no HTTPS."""
    return host.sh(_LOOK).splitlines()


def served(host: LabHost) -> str:
    """The certificate that visitors get, as PEM; "" for none."""
    look = "import ssl; print(ssl.get_server_certificate(('127.0.0.1', 443), timeout=5))"
    return host.sh(f'python3 -c "{look}" 2>/dev/null || true').strip()
