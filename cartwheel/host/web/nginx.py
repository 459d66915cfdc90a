"""nginx, as its documentation describes it (https://nginx.org/en/docs/)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Iterable, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from cartwheel.host.web import log_times
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

SITES = Path("/etc/nginx/conf.d")
SHARED = SITES / "cartwheel.conf"
LOGS = Path("/var/log/nginx")
_VERSION = re.compile(r"^nginx version: \S+/(\S+)", re.MULTILINE)
_FAILURE = re.compile(r"\[(?:emerg|error)\] (?:\d+#\d+: )?(.+)")
# ngx_process_cycle.c; those that end are "nginx: worker process is shutting down".
_WORKER = "nginx: worker process"
# nginx's configuration cannot escape `$`, so such a value is refused.
_PLAIN = re.compile(r"^[A-Za-z0-9._~/:@%+,=*\[\]-]*$")

# The end of a line, as templates/nginx-site.conf.j2 has it. A quote in a client's words is
# written as \x22: nobody can forge it.
_FIELDS = re.compile(
    rb' upstream="([^"]*)" upstream_status="([^"]*)" upstream_time="([^"]*)"'
    rb" at=(\d+\.\d+) probe=(1?)\Z"
)
_ANSWER = re.compile(r"release=(.*); status=([0-9, :-]*); upstream=(.*)\Z")
_BETWEEN = re.compile(rb", | : ")  # the next upstream; after an internal redirect
# As templates/nginx-tls.conf.j2 has them.
_TLS_PORT = re.compile(r"^\s*listen\s+(?:\S+:)?(\d+)\s[^;]*\bssl\b[^;]*;", re.MULTILINE)
_TLS_CERTIFICATE = re.compile(r"^\s*ssl_certificate\s+([^\s;]+)\s*;", re.MULTILINE)
_NUMBER = re.compile(rb"\d+(?:\.\d+)?")

# The time of a line: in our own format, in the error log.
_EPOCH = re.compile(r" at=(\d{9,}\.\d+)")
_ERROR = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(\w+)\]")
_GRAVE = ("error", "crit", "alert", "emerg")
_STATUS = re.compile(r'" (\d{3}) ')


class Nginx:
    """A kind of web server (`server.WebServer`)."""

    name = "nginx"
    program = "nginx"
    packages: Tuple[str, ...] = ("nginx",)
    unit = "nginx.service"
    broken = "nginx-broken"
    refuses = "nginx-refuses"
    site_template = "nginx-site.conf.j2"
    door_template = "nginx-door.conf.j2"
    tls_template = "nginx-tls.conf.j2"
    shared: Optional[Path] = SHARED
    own_folder: Optional[Path] = None
    # One is read outside of the site's server block, where addresses can be named.
    maintenance_templates: Mapping[str, str] = {
        "http.conf": "nginx-maintenance-allow.conf.j2",
        "site.conf": "nginx-maintenance-site.conf.j2",
    }
    # Debian's takes `default_server`; it is a link into sites-available.
    default_site = Path("/etc/nginx/sites-enabled/default")
    version_command: Tuple[str, ...] = ("nginx", "-v")
    test_command: Tuple[str, ...] = ("nginx", "-t", "-q")
    dies_of_reload = False  # it keeps the one that it has
    log: Optional[Path] = None
    error_log: Path = LOGS / "error.log"
    failed: "re.Pattern[bytes]" = re.compile(rb'" 5\d\d \d')
    retry_seconds = 0.0  # max_fails=0
    buffers_answers = True
    limits_rates = True

    def site(self, name: str) -> Path:
        return SITES / f"cartwheel-{name}.conf"

    def reads(self, site: Path) -> bool:
        from cartwheel.host.web import nginx_config

        return nginx_config.includes(site)

    def logs(self, name: str) -> Tuple[Path, Path]:
        return LOGS / (name + ".access.log"), LOGS / (name + ".error.log")

    def word(self, value: str) -> str:
        if not value or not _PLAIN.match(value):
            raise ValueError(f"{value!r} is not allowed in nginx's configuration")
        return value

    def token_text(self, token: str) -> str:
        return f'"{token}" 1;\n'  # a line of `map`

    def version_in(self, output: str) -> Optional[str]:
        found = _VERSION.search(output)
        return found.group(1) if found else None

    def complaint(self, output: str, staged: Optional[Staged] = None) -> str:
        found = _FAILURE.search(output)
        return found.group(1) if found else "see its output"

    def overlooked(self, output: str, laid: Sequence[Tuple[str, str]]) -> str:
        return ""  # it opens ports, logs and certificates for the test

    def make_room(self, main_pid: int) -> None:
        return  # it has as many processes as it needs

    def taken_name(self, output: str, names: Sequence[str]) -> Optional[str]:
        taken = (name for name in names if f'conflicting server name "{name}"' in output)
        return next(taken, None)

    def shared_text(self) -> str:
        from cartwheel.host.web import nginx_shared

        return nginx_shared.text(SHARED)

    def extra_problems(self, text: str) -> List[Tuple[int, str]]:
        from cartwheel.host.web import nginx_extra

        return list(nginx_extra.problems(text))

    def http2(self, version: str, *, shares_port: bool) -> str:
        """`http2 on` is from 1.25.1, where the parameter of `listen` warns. From 1.23.4 on nginx
        warns of parameters that differ from those of another site on the same port."""
        found = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
        if found >= (1, 25, 1):
            return "directive"
        return "" if found >= (1, 23, 4) and shares_port else "listen"

    def tls_of(self, text: str) -> Optional[TlsSite]:
        return tls_site(text, _TLS_PORT, _TLS_CERTIFICATE)

    def user(self) -> str:
        from cartwheel.host.web import nginx_config

        return nginx_config.user()

    def sends_brotli(self) -> bool:
        from cartwheel.host.web import nginx_config

        return nginx_config.loads("ngx_http_brotli_static_module")

    def installed(self) -> Installed:
        from cartwheel.host.web import nginx_config

        return Installed(nginx_config.servers())  # files may name a port twice

    def main_pid(self, of_unit: int) -> int:
        return of_unit  # Debian's unit names its file

    def taking_connections(self, pids: Iterable[int]) -> Set[int]:
        from cartwheel.host.system import systemd

        return {pid for pid in pids if systemd.proc(pid, "cmdline").strip("\0 ") == _WORKER}

    def live_upstream(self, at: "Layout") -> str:
        return f"unix:{at.current}/http.sock"

    def answer(self, header: str) -> Optional[Answer]:
        found = _ANSWER.match(header)
        if found is None:
            return None
        return Answer(
            release=Path(found.group(1)).name,
            statuses=tuple(found.group(2).split(", ")),
            upstreams=tuple(found.group(3).split(", ")),
        )

    def request(self, line: bytes) -> Optional[Request]:
        found = _FIELDS.search(line)
        if found is None or found.group(5):
            return None
        status = _BETWEEN.split(found.group(2))[0]
        if not status.isdigit():
            return None  # "-": the client left before there was an answer, or a file of its own
        took = sum(float(number) for number in _NUMBER.findall(found.group(3)))
        upstream = _BETWEEN.split(found.group(1))[0].decode("utf-8", "replace")
        return Request(upstream, int(status), float(found.group(4)) - took)

    def look_at(self, line: str) -> Tuple[Optional[float], bool]:
        error = _ERROR.match(line)
        if error:
            return log_times.local(error.group(1), "%Y/%m/%d %H:%M:%S"), error.group(2) in _GRAVE
        status = _STATUS.search(line)
        return _time_in(line), status is not None and status.group(1)[0] == "5"

    def visits(self, data: bytes) -> Iterator[Visit]:
        from cartwheel.host.web import nginx_log

        return nginx_log.visits(data)

    def trouble(self, line: str) -> Optional[Trouble]:
        from cartwheel.host.web import nginx_log

        return nginx_log.trouble(line)


def _time_in(line: str) -> Optional[float]:
    """The time of a line in the access log, which may have another format than our own."""
    epoch = _EPOCH.search(line)
    return float(epoch.group(1)) if epoch else log_times.zoned(line)
