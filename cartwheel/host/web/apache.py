"""Apache, as its documentation describes it (https://httpd.apache.org/docs/2.4/)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Iterable, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from cartwheel.host.web.server import (
    Answer,
    Installed,
    Request,
    Staged,
    TlsSite,
    Trouble,
    Visit,
    tls_site,
)

if TYPE_CHECKING:
    from cartwheel.host.layout import Layout

SITES = Path("/etc/apache2/cartwheel")
SHARED = Path("/etc/apache2/sites-enabled/zz-cartwheel.conf")
LOGS = Path("/var/log/apache2")
# A server name of a site that has none, or only patterns.
NAMELESS = ".cartwheel.invalid"
# A worker that could not be reached is not asked for so long: `retry=1` of the site's members,
# because Apache would try a dead one for each request with 0.
RETRY_SECONDS = 1.0
_VERSION = re.compile(r"^Server version: Apache/(\S+)", re.MULTILINE)
_PLAIN = re.compile(r"^[A-Za-z0-9._~/:@%+,=*\[\]-]*$")
# As templates/apache-tls.conf.j2 has them.
_TLS_PORT = re.compile(r"^\s*<VirtualHost\s+\S*:(\d+)>", re.MULTILINE)
_TLS_CERTIFICATE = re.compile(r"^\s*SSLCertificateFile\s+\"?([^\s\"]+)", re.MULTILINE)
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
    # With a copy of all that Apache has read; the exit code is that of `apache2ctl -t`.
    test_command: Tuple[str, ...] = (
        *("apache2ctl", "-t", "-D", "DUMP_CONFIG", "-D", "DUMP_MODULES", "-D", "DUMP_INCLUDES"),
        *("-C", "LoadModule info_module /usr/lib/apache2/modules/mod_info.so"),
    )
    dies_of_reload = True
    log: Optional[Path] = LOGS / "error.log"
    error_log: Path = LOGS / "error.log"
    failed: "re.Pattern[bytes]" = re.compile(rb'" 5\d\d \d')
    retry_seconds = RETRY_SECONDS
    buffers_answers = False
    limits_rates = False

    def site(self, name: str) -> Path:
        return SITES / f"cartwheel-{name}.conf"

    def reads(self, site: Path) -> bool:
        """The shared file includes it."""
        from cartwheel.host.web import apache_config

        return apache_config.includes(SHARED, apache_config.ask(self.test_command))

    def logs(self, name: str) -> Tuple[Path, Path]:
        return LOGS / (name + ".access.log"), LOGS / (name + ".error.log")

    def word(self, value: str) -> str:
        """In quotes where it needs some. Formats of headers and logs, and what a rewrite rule makes
        of a path, give `%` and `$` a meaning that quotes do not take away."""
        if not value or "${" in value or not value.isprintable():
            raise ValueError(f"{value!r} is not allowed in Apache's configuration")
        if _PLAIN.match(value):
            return value
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def token_text(self, token: str) -> str:
        return f'SetEnvIf X-Cartwheel-Probe "^{token}$" cartwheel_probe=1\n'

    def version_in(self, output: str) -> Optional[str]:
        found = _VERSION.search(output)
        return found.group(1) if found else None

    def complaint(self, output: str, staged: Optional[Staged] = None) -> str:
        from cartwheel.host.web import apache_config, apache_words

        return apache_words.complaint(output, staged.get if staged else apache_config.on_disk)

    def overlooked(self, output: str, laid: Sequence[Tuple[str, str]]) -> str:
        from cartwheel.host.web import apache_config, apache_reload

        return apache_reload.overlooked(apache_config.read(output), laid)

    def make_room(self, main_pid: int) -> None:
        from cartwheel.host.web import apache_config, apache_reload

        limit = apache_config.server_limit(apache_config.ask(self.test_command))
        apache_reload.make_room(main_pid, limit)

    def taken_name(self, output: str, names: Sequence[str]) -> Optional[str]:
        from cartwheel.host.web import apache_config

        return apache_config.taken_name(apache_config.read(output), names)

    def shared_text(self) -> str:
        from cartwheel.host.web import apache_shared

        return apache_shared.text()

    def extra_problems(self, text: str) -> List[Tuple[int, str]]:
        from cartwheel.host.web import apache_extra

        return list(apache_extra.problems(text))

    def http2(self, version: str, *, shares_port: bool) -> str:
        return "directive"

    def tls_of(self, text: str) -> Optional[TlsSite]:
        return tls_site(text, _TLS_PORT, _TLS_CERTIFICATE)

    def user(self) -> str:
        from cartwheel.host.web import apache_config

        return apache_config.user(apache_config.ask(self.test_command))

    def sends_brotli(self) -> bool:
        return True  # the site names the files and their encoding itself

    def installed(self) -> Installed:
        from cartwheel.host.web import apache_config

        found = apache_config.ask(self.test_command)
        return Installed(
            apache_config.servers(found),
            apache_config.listens(found),
            apache_config.at_once(found) or None,
        )

    def main_pid(self, of_unit: int) -> int:
        """Debian's unit does not name its file, so systemd guesses among all that it has started,
        e.g. programs that write logs."""
        from cartwheel.host.web import apache_reload

        return apache_reload.main_pid() or of_unit

    def taking_connections(self, pids: Iterable[int]) -> Set[int]:
        from cartwheel.host.web import apache_reload

        return apache_reload.taking_connections(pids)

    def live_upstream(self, at: "Layout") -> str:
        return f"http://{at.app}.current"

    def answer(self, header: str) -> Optional[Answer]:
        found = _ANSWER.match(header)
        if found is None:
            return None
        return Answer(None, (found.group(2),), (found.group(1),))

    def request(self, line: bytes) -> Optional[Request]:
        from cartwheel.host.web import apache_words

        return apache_words.request(line)

    def look_at(self, line: str) -> Tuple[Optional[float], bool]:
        from cartwheel.host.web import apache_words

        return apache_words.look_at(line)

    def visits(self, data: bytes) -> Iterator[Visit]:
        from cartwheel.host.web import apache_log

        return apache_log.visits(data)

    def trouble(self, line: str) -> Optional[Trouble]:
        from cartwheel.host.web import apache_log

        return apache_log.trouble(line)
