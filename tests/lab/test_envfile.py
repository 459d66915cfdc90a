"""The env file under the whole of systemd: what a service is given is what was written."""

from __future__ import annotations

import json

import pytest

from cartwheel.host.system import envfile
from cartwheel_lab import LabHost
from tests.lab.conftest import GetHosts

VARIABLES = {
    "PLAIN": "value",
    "EMPTY": "",
    "SPACES": "  before and behind \t ",
    "QUOTES": "\"double\" 'single' `back`",
    "DOLLARS": "$HOME ${HOME} $$ $(id) %h %% %n",
    "BACKSLASHES": '\\ \\\\ \\n \\t \\$ \\" a\\',
    "LINES": "\none\n\ntwo # no comment\n; nor this\nthree\\\nfour\n",
    "UNICODE": "zwölf € 😀 \u2028 \u00a0",
    "EQUALS": "a=b=c",
    "PEM": "-----BEGIN KEY-----\nMIIB+/=\n-----END KEY-----\n",
    "LONG": "x" * 100_000,
}
SHOW = "import json,os; json.dump(dict(os.environ), open('/run/shown', 'w'))"


def given(host: LabHost) -> dict[str, str]:
    host.path("/run/written.env").write_text(envfile.dump(VARIABLES), encoding="utf-8")
    done = host.exec(
        [
            *("systemd-run", "--quiet", "--wait", "--collect"),
            *("--property=EnvironmentFile=/run/written.env", "python3", "-c", SHOW),
        ]
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(host.path("/run/shown").read_text())
    return found


@pytest.mark.parametrize("suite", ["bookworm", "trixie", "bullseye"])
def test_a_service_gets_exactly_what_was_written(hosts: GetHosts, suite: str) -> None:
    found = given(hosts(suite=suite)[0])
    assert {name: found.get(name) for name in VARIABLES} == VARIABLES
