"""Apache, as its documentation describes it (https://httpd.apache.org/docs/2.4/)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from cartwheel.host.web.server import Answer, Request, TlsSite

if TYPE_CHECKING:
    from cartwheel.host.layout import Layout
    from cartwheel.host.wire.facts import Server

SITES = Path("/etc/apache2/cartwheel")
SHARED = Path("/etc/apache2/sites-enabled/zz-cartwheel.conf")
LOGS = Path("/var/log/apache2")
_VERSION = re.compile(r"^Server version: Apache/(\S+)", re.MULTILINE)
# As templates/apache-site.conf.j2 has it.
_ANSWER = re.compile(r"upstream=(\S*); status=(\d{3})\Z")


class Apache:
    """A kind of web server (`server.WebServer`)."""

    name = "apache"
    program = "apache2"
    packages: Tuple[str, ...] = ("apache2",)
    unit = "apache2.service"
    broken = "apache-broken"
    refuses = "apache-refuses"
    site_template = "apache-site.conf.j2"
    door_template = "apache-door.conf.j2"
    tls_template = "apache-tls.conf.j2"
    shared: Optional[Path] = SHARED
    own_folder: Optional[Path] = SITES
    maintenance_templates: Mapping[str, str] = {
        "site.conf": "apache-maintenance-site.conf.j2",
    }
    # It is a link into sites-available.
    default_site = Path("/etc/apache2/sites-enabled/000-default.conf")
    version_command: Tuple[str, ...] = ("apache2ctl", "-v")
    test_command: Tuple[str, ...] = ("apache2ctl", "-t")
    retry_seconds = 1.0  # `retry=1` of the site's members, because 0 would try a dead one each time
    buffers_uploads = False
    limits_rates = False

    def site(self, name: str) -> Path:
        return SITES / f"cartwheel-{name}.conf"

    def reads(self, site: Path) -> bool:
        return SHARED.exists()

    def logs(self, name: str) -> Tuple[Path, Path]:
        return LOGS / (name + ".access.log"), LOGS / (name + ".error.log")

    def word(self, value: str) -> str:
        return value

    def token_text(self, token: str) -> str:
        return f'SetEnvIf X-Cartwheel-Probe "^{token}$" cartwheel_probe=1\n'

    def version_in(self, output: str) -> Optional[str]:
        found = _VERSION.search(output)
        return found.group(1) if found else None

    def complaint(self, output: str) -> str:
        return output

    def taken_name(self, output: str, names: Sequence[str]) -> Optional[str]:
        return None

    def shared_text(self) -> str:
        return ""

    def extra_problems(self, text: str) -> List[Tuple[int, str]]:
        return []

    def http2(self, version: str, *, shares_port: bool) -> str:
        return "directive"

    def tls_of(self, text: str) -> Optional[TlsSite]:
        return None

    def user(self) -> str:
        return "www-data"

    def sends_brotli(self) -> bool:
        return False

    def servers(self) -> "List[Server]":
        return []

    def listens(self) -> List[int]:
        return []

    def connections(self) -> Optional[int]:
        return None

    def taking_connections(self, pids: Iterable[int]) -> Set[int]:
        return set()

    def live_upstream(self, at: "Layout") -> str:
        return f"http://{at.app}.current"

    def answer(self, header: str) -> Optional[Answer]:
        found = _ANSWER.match(header)
        if found is None:
            return None
        return Answer(None, (found.group(2),), (found.group(1),))

    def request(self, line: bytes) -> Optional[Request]:
        return None

    def look_at(self, line: str) -> Tuple[Optional[float], bool]:
        return None, False
