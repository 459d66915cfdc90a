"""Where each kind of web server has its sites and their logs, and what a line of such a log says:
the little that a look needs of `host.web`, which would take longer to import than to use."""

from __future__ import annotations

import os
import re

_TIME = re.compile(rb"\d+\.\d+")


class Kind:
    """`sites`, `logs`: folders. `line`: the end of a line of an access log, as the site's template
    has it. `probe`: what it says of our own probes."""

    def __init__(self, sites: str, logs: str, line: bytes) -> None:
        self.sites = sites
        self.logs = logs
        self.line = re.compile(line, re.MULTILINE)

    def site(self, app: str) -> str:
        return f"{self.sites}/cartwheel-{app}.conf"

    def log(self, app: str) -> str:
        return f"{self.logs}/{app}.access.log"


# A quote in a client's words is written as \x22 by the one and as \" by the other: nobody can forge
# a field.
KINDS = (
    Kind(
        "/etc/nginx/conf.d",
        "/var/log/nginx",
        rb'" (?P<status>\d{3}) \d+ "[^"]*" "(?P<agent>[^"]*)" id=\S* time=(?P<took>\d+\.\d+)'
        rb' upstream="(?P<upstream>[^"]*)" upstream_status="[^"]*" upstream_time="(?P<tries>[^"]*)"'
        rb" at=[\d.]+ probe=(?P<probe>1?)$",
    ),
    Kind(
        "/etc/apache2/cartwheel",
        "/var/log/apache2",
        rb'" (?P<status>\d{3}) \d+ "(?:[^"\\]|\\.)*" "(?P<agent>(?:[^"\\]|\\.)*)" id=\S*'
        rb' time=(?P<took>\d+)(?P<tries>) upstream="(?P<upstream>[^"]*)" began=\d+'
        rb" probe=(?P<probe>1|-)$",
    ),
)


def of_app(app: str) -> Kind | None:
    """The kind that has this app's site; None where visitors do not come to this host."""
    return next((kind for kind in KINDS if os.path.isfile(kind.site(app))), None)


def seconds(line: re.Match[bytes]) -> float:
    """How long the app took; of what the web server answered itself, how long that took."""
    tries = [float(one) for one in _TIME.findall(line["tries"])]
    if tries:
        return sum(tries)
    took: bytes = line["took"]  # in milliseconds where it has no point
    return float(took) if b"." in took else int(took) / 1000.0
