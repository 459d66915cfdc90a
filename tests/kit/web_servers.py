"""Where the kinds of web server differ, for tests that run with each of them.

A test takes the fixtures `web_server` and `web_host` of tests/lab/conftest.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from cartwheel.host.web.kinds import named
from cartwheel.host.web.server import WebServer
from cartwheel_lab import LabHost
from tests.kit.bases import READY

# What the tests of a configuration say on a lab host before there is a site.
_USUAL = ("Syntax OK", "reliably determine the server's fully qualified domain name")


@dataclass(frozen=True)
class Server:
    """One kind, by its name in `web.server`, as Debian has it."""

    name: str
    # Also the name of the unit, without `.service`.
    package: str
    # The packages of a host that `fab setup` has nothing to install on.
    packages: str
    # All of its configuration; the folder of Cartwheel's sites; and the one of all other sites.
    etc: str
    sites: str
    other_sites: str
    # The file that all applications of a host share; it goes with the last one.
    shared: str
    logs: str
    pid_file: str
    # The command that tests the configuration.
    test: str
    # A line that is refused, in a file of its own and for TLS; and what each refusal says.
    mistake: str
    mistake_said: str
    tls_mistake: str
    tls_mistake_said: str
    # Whether it asks another instance for what a worker has taken and did not answer.
    asks_again: bool
    # A line that adds a header to answers.
    header: str
    # The package without which it sends no ready-made .br files; "" if it needs none.
    brotli_package: str

    @property
    def kind(self) -> WebServer:
        """The kind itself, for what it promises."""
        return named(self.name)

    @property
    def web(self) -> str:
        """The beginning of the settings' table [web]."""
        return "[web]\n" + ("" if self.name == "nginx" else f'server = "{self.name}"\n')

    def site(self, app: str) -> str:
        return f"{self.sites}/cartwheel-{app}.conf"

    def access_log(self, app: str) -> str:
        return f"{self.logs}/{app}.access.log"

    def warnings(self, host: LabHost) -> list[str]:
        """Of its test of the whole configuration. Raises if it is broken."""
        said = host.sh(f"{self.test} 2>&1").splitlines()
        return [line for line in said if not any(usual in line for usual in _USUAL)]

    def reloads(self, host: LabHost) -> int:
        """How often it was asked to reload."""
        host.sh("journalctl --sync")
        said = host.sh(f"journalctl -u {self.package} -o cat --no-pager").splitlines()
        return sum(line.startswith("Reloaded ") for line in said)

    def processes(self, host: LabHost) -> set[str]:
        """Its main process and the others; a reload replaces those."""
        return set(host.sh(f"cat {self.pid_file}; pgrep -P $(cat {self.pid_file})").split())


NGINX = Server(
    name="nginx",
    package="nginx",
    packages=READY,
    etc="/etc/nginx",
    sites="/etc/nginx/conf.d",
    other_sites="/etc/nginx/conf.d",
    shared="/etc/nginx/conf.d/cartwheel.conf",
    logs="/var/log/nginx",
    pid_file="/run/nginx.pid",
    test="nginx -t -q",
    mistake="nonsense on;",
    mistake_said='unknown directive "nonsense"',
    tls_mistake="ssl_bogus on;",
    tls_mistake_said='unknown directive "ssl_bogus"',
    asks_again=True,
    header="add_header {} {};",
    brotli_package="libnginx-mod-http-brotli-static",
)
APACHE = Server(
    name="apache",
    package="apache2",
    packages=READY.replace("nginx", "apache2"),
    etc="/etc/apache2",
    sites="/etc/apache2/cartwheel",
    other_sites="/etc/apache2/sites-enabled",
    shared="/etc/apache2/sites-enabled/zz-cartwheel.conf",
    logs="/var/log/apache2",
    pid_file="/run/apache2/apache2.pid",
    test="apache2ctl -t",
    mistake="nonsense on",
    mistake_said="Invalid command 'nonsense'",
    tls_mistake="SSLBogus on",
    tls_mistake_said="Invalid command 'SSLBogus'",
    asks_again=False,
    header="Header always set {} {}",
    brotli_package="",
)
SERVERS = {one.name: one for one in (NGINX, APACHE)}
