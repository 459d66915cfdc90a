"""`fab status` and `fab doctor` tell the truth by their exit codes: every way in which a host
may be not well, on a real one, beside another host that is well all the while.

What `doctor` says to do next is done, and then the host is well again.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cartwheel.errors import CATALOGUE, Exit
from cartwheel_lab import LabHost
from tests.kit.fab import fab
from tests.kit.host import await_sessions, get
from tests.kit.project import Done, Project, new_project
from tests.kit.tiers import is_nightly, tiered
from tests.kit.web_servers import APACHE, NGINX, Server
from tests.lab.conftest import GetHosts

pytestmark = pytest.mark.timeout(600)

# Does as the file `mode` in its shared folder says.
APP = """
import os
import time

TEXT = "{text}"


def mode():
    try:
        with open("mode") as file:
            return file.read().strip()
    except FileNotFoundError:
        return "well"


if mode() == "die":
    os._exit(3)


def app(environ, start_response):
    if mode() == "hang":
        time.sleep(60)
    status = "500 Internal Server Error" if mode() == "fail" else "200 OK"
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [TEXT.encode()]
"""

MODE = "/srv/shop/shared/mode"
# Which instance serves; an earlier one may still be ending.
UNIT = (
    "$(readlink /srv/shop/current/http.sock"
    r" | sed -E 's|.*/shop/([^/]+)/([^/]+)/http.sock|cartwheel-shop.web.\1@\2.service|')"
)
MAIN = f"$(systemctl show -P MainPID {UNIT})"
BOOT = "cartwheel-shop.service"


@dataclass(frozen=True)
class Case:
    """A host that is not well: how it becomes so, what is told, how it is well again.

    `what` are the findings that are problems; `says` stands in their details. `first` is done
    before what `doctor` says to do, where a person must do something by themselves; `next` is
    what of that is done, by its beginning.
    """

    name: str
    breaks: str
    health: str
    what: tuple[str, ...]
    says: str
    next: tuple[str, ...] = ()
    first: str = "true"
    served: bool = False  # visitors are answered all the same
    words: tuple[str, ...] = ()  # of `fab`, which break it


CASES = (
    Case(
        "answers 500",
        f"echo fail > {MODE}",
        "UNHEALTHY",
        ("app",),
        "/healthz answered 500 instead of 200",
        ("fab restart",),
        f"rm {MODE}",
    ),
    Case(
        "hangs",
        f"echo hang > {MODE}",
        "UNHEALTHY",
        ("app",),
        "/healthz did not answer within 1 s",
        ("fab restart",),
        f"rm {MODE}",
    ),
    Case(
        "workers are suspended",
        f"kill -STOP $(pgrep -P {MAIN})",
        "UNHEALTHY",
        ("app",),
        "1 of its processes are suspended by a signal",
        ("fab restart",),
    ),
    Case(
        "main process is suspended",
        f"kill -STOP {MAIN}",
        "UNHEALTHY",
        ("app",),
        "1 of its processes are suspended by a signal",
        ("fab restart",),
        served=True,
    ),
    Case(
        "crash loop",
        f"echo die > {MODE}; u={UNIT}; kill -9 $(pgrep -P $(systemctl show -P MainPID $u));"
        " while [ $(systemctl show -P NRestarts $u) = 0 ]; do sleep 0.1; done",
        "UNHEALTHY",
        ("app",),
        "restarted ",
        ("fab restart",),
        f"rm {MODE}",
    ),
    Case(
        "stopped by hand",
        f"systemctl stop {UNIT}",
        "UNHEALTHY",
        ("app",),
        "its unit is inactive",
        ("fab start",),
    ),
    Case(
        "unit failed",
        f"u={UNIT}; mkdir -p /run/systemd/system/$u.d;"
        " printf '[Service]\\nRestart=no\\n' > /run/systemd/system/$u.d/no.conf;"
        " systemctl daemon-reload; systemctl kill --signal=KILL $u; sleep 0.5;"
        " rm -r /run/systemd/system/$u.d; systemctl daemon-reload",
        "UNHEALTHY",
        ("app",),
        "its unit is failed (signal)",
        ("fab start",),
    ),
    Case(
        "token removed",
        "rm /srv/shop/probe.map",
        "UNHEALTHY",
        ("front door",),
        "/srv/shop/probe.map is missing or damaged",
        ("fab setup",),
        served=True,
    ),
    Case(
        "current link missing",
        "rm /srv/shop/current",
        "not deployed",
        ("serves",),
        "the link `current` is missing; 0.",
        ("fab deploy",),
        served=True,  # by `fallback`
    ),
    Case(
        "current link to nowhere",
        "ln -sfn releases/9.9.gone /srv/shop/current",
        "not deployed",
        ("serves",),
        "the link `current` names 9.9.gone, which is missing",
        ("fab deploy",),
        served=True,
    ),
    Case(
        "does not start at boot",
        f"systemctl disable -q {BOOT}",
        "AT RISK",
        ("boot",),
        "the app does not start at boot: its unit is disabled",
        ("fab setup",),
        served=True,
    ),
    Case(
        "boot unit missing",
        f"systemctl disable -q {BOOT}; rm /etc/systemd/system/{BOOT}; systemctl daemon-reload",
        "AT RISK",
        ("boot",),
        "the app does not start at boot: its unit is missing",
        ("fab setup",),
        served=True,
    ),
    Case(
        "boot unit masked",
        f"systemctl disable -q {BOOT}; ln -sfn /dev/null /etc/systemd/system/{BOOT};"
        " systemctl daemon-reload",
        "AT RISK",
        ("boot",),
        "the app does not start at boot: its unit is masked",
        ("systemctl unmask", "fab setup"),
        served=True,
    ),
    Case(
        "stopped on purpose",
        "",
        "stopped",
        ("serves",),
        "stopped by ",
        ("fab start",),
        words=("stop", "--message", "for the night"),
    ),
    Case(
        "disk is full",
        "mkdir /mnt/small; mount -t tmpfs -o size=60m none /mnt/small; cp -a /srv/. /mnt/small/;"
        " mount --bind /mnt/small /srv",
        "AT RISK",
        ("disk",),
        "the disk is full: ",
        (),
        "umount /srv /mnt/small; rmdir /mnt/small",
        served=True,
    ),
    Case(
        "disk is read-only",
        "mount --bind /srv /srv; mount -o remount,bind,ro /srv",
        "AT RISK",
        ("disk",),
        "the app's disk is read-only",
        (),
        "umount /srv",
        served=True,
    ),
)


# Somebody else's site for a name, as a file's text; it answers to all paths.
OTHERS = {
    "nginx": "server {{\n listen 80 default_server;\n listen [::]:80 default_server;\n"
    " server_name {};\n return 200 theirs;\n}}\n",
    "apache": "<VirtualHost *:80>\n ServerName {}\n AliasMatch ^ /etc/hostname\n"
    " <Location />\n  Require all granted\n </Location>\n</VirtualHost>\n",
}
# What a mistake in a file of its own is called, with its place.
MISTAKES = {
    "nginx": 'unknown directive "nonsense" in /etc/nginx/conf.d/z.conf:1',
    "apache": "/etc/apache2/sites-enabled/z.conf:1: Invalid command 'nonsense'",
}
# The file and the line that includes the sites.
INCLUDES = {
    "nginx": ("/etc/nginx/nginx.conf", "include /etc/nginx/conf.d"),
    "apache": ("/etc/apache2/apache2.conf", "IncludeOptional sites-enabled"),
}
ELSEWHERE = {
    "nginx": "other.sock said 502 instead of 200",
    "apache": "http://shop.fallback answered instead of http://shop.current",
}


def web_cases(server: Server) -> list[Case]:
    """Every way in which the web server is not well."""
    web, unit, site = server.name, server.package, server.site("shop")
    program = f"/usr/sbin/{server.kind.program}"
    theirs = f"{server.other_sites}/z.conf"
    # Until then the old workers answer too.
    reload = (
        f"old=$(pgrep -P $(cat {server.pid_file})); systemctl reload {unit};"
        " for one in $old; do while [ -e /proc/$one ]; do sleep 0.1; done; done"
    )
    includes, line = INCLUDES[web]

    def other(name: str, path: str) -> str:
        return f"printf %s {shlex.quote(OTHERS[web].format(name))} > {path}"

    return [
        Case(
            "stopped",
            f"systemctl stop {unit}",
            "UNHEALTHY",
            (web,),
            f"{web} does not run: it is inactive, enabled",
            (f"fab {web}.reload",),
        ),
        Case(
            "masked",
            f"systemctl stop {unit}; systemctl mask -q {unit}",
            "UNHEALTHY",
            (web,),
            f"{web} does not run: it is inactive, masked",
            ("systemctl unmask", f"fab {web}.reload"),
        ),
        Case(
            "removed",
            f"systemctl stop {unit}; mv {program} /usr/sbin/none",
            "UNHEALTHY",
            (web,),
            f"there is no {web}",
            ("fab setup",),
            f"mv /usr/sbin/none {program}; systemctl start {unit}",
        ),
        Case(
            "disabled",
            f"systemctl disable -q {unit}",
            "AT RISK",
            (web,),
            f"{web} is disabled: it does not start at boot",
            ("systemctl enable",),
            served=True,
        ),
        Case(
            "broken by somebody else",
            f"echo '{server.mistake}' > {theirs}",
            "AT RISK",
            (f"{web} -t",),
            MISTAKES[web],
            (f"fab {web}.reload",),
            f"rm {theirs}",
            served=True,
        ),
        Case(
            "no folder of sites",
            f"rm {site}; mv {server.sites} /root/sites; {reload}",
            "UNHEALTHY",
            ("site",),
            f"{server.sites} is missing",
            ("fab setup", "fab deploy"),
        ),
        Case(
            "includes no site",
            f"sed -i 's|{line}|#&|' {includes}; {reload}",
            "UNHEALTHY",
            ("site",),
            f"{web} does not read {server.sites}: no `include` names it",
            (f"fab {web}.reload",),
            f"sed -i 's|#{line}|{line}|' {includes}",
        ),
        Case(
            "site removed",
            f"rm {site}; {other('localhost', theirs)}; {reload}",
            "UNHEALTHY",
            ("site", "front door"),
            "/healthz answered 200, not by this site",
            ("fab deploy",),
            f"rm {theirs}",
        ),
        Case(
            "site removed, not reloaded",
            f"mv {site} /root/",
            "AT RISK",
            ("site",),
            f"{web}'s file for the site is missing",
            ("fab deploy",),
            served=True,
        ),
        Case(
            "site overwritten",
            f"{other('_', site)}; {reload}",
            "UNHEALTHY",
            ("front door",),
            "/healthz answered 200, not by this site",
            (f"fab {web}.reload", "fab deploy"),
        ),
        Case(
            "passes it on elsewhere",
            f"sed -i 's|/current/http.sock|/current/other.sock|' {site}; {reload}",
            "UNHEALTHY",
            ("front door",),
            ELSEWHERE[web],
            (f"fab {web}.reload", "fab deploy"),
            served=True,  # by the backup
        ),
    ]


def result(done: Done) -> dict[str, Any]:
    """What `fab ... --json` came to."""
    found = json.loads(done.out.splitlines()[-1])
    assert isinstance(found, dict)
    return found


@dataclass(frozen=True)
class Two:
    """A fleet of two: `ill` is broken by the cases, `well` never is."""

    project: Project
    ill: LabHost
    well: LabHost

    @property
    def names(self) -> str:
        return f"{self.ill.name},{self.well.name}"

    def fab(self, *words: str, code: int | None = 0) -> Done:
        return self.project.fab(*words, "-H", self.names, code=code)

    def told(self, *words: str, code: int) -> dict[str, Any]:
        """The result of `fab WORDS --json`."""
        return result(self.fab(*words, "--json", code=code))

    def assert_well(self) -> None:
        status = self.told("status", code=Exit.OK)
        assert [one["answer"]["well"] for one in status["hosts"]] == [True, True]
        findings = self.told("doctor", code=Exit.OK)["findings"]
        assert all(one["ok"] for one in findings), findings


@pytest.fixture(scope="module")
def two(
    request: pytest.FixtureRequest, pair: list[LabHost], tmp_path_factory: pytest.TempPathFactory
) -> Two:
    texts = ("one", "two") if is_nightly(request) else ("two",)
    return deployed(pair, tmp_path_factory.mktemp("told"), texts=texts)


@pytest.fixture(scope="module")
def two_with_apache(hosts: GetHosts, tmp_path_factory: pytest.TempPathFactory) -> Two:
    pair = hosts(2, packages=APACHE.packages)
    for host in pair:
        host.reset()
    return deployed(pair, tmp_path_factory.mktemp("told"), APACHE.web)


def deployed(
    pair: list[LabHost], folder: Path, more: str = "", texts: Sequence[str] = ("one", "two")
) -> Two:
    """Releases on both hosts: two, if there shall be a way back."""
    project = new_project(folder, settings=f"[health]\ntimeout_seconds=1\n{more}")
    found = Two(project, *pair)
    found.fab("setup")
    for text in texts:
        project.write("app/app.py", APP.replace("{text}", text))
        found.fab("deploy")
    return found


def problems(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in findings if not one["ok"]]


# What is told in another way by a case that runs every time.
SWEPT = {
    "main process is suspended",
    "stopped by hand",
    "current link missing",
    "boot unit missing",
    "boot unit masked",
    # Of these, each has a neighbour that does.
    "hangs",
    "workers are suspended",
    "unit failed",
    "crash loop",
    "token removed",
    "current link to nowhere",
    "disk is full",
    "disk is read-only",
    "does not start at boot",
    "stopped on purpose",
}


@pytest.mark.parametrize("case", tiered(CASES, nightly=SWEPT), ids=lambda case: case.name)
def test_a_host_that_is_not_well_is_told(two: Two, case: Case) -> None:
    assert_told(two, case)


@pytest.mark.nightly
@pytest.mark.parametrize("case", web_cases(NGINX), ids=lambda case: case.name)
def test_nginx_that_is_not_well_is_told(two: Two, case: Case) -> None:
    assert_told(two, case)


@pytest.mark.nightly
@pytest.mark.parametrize("case", web_cases(APACHE), ids=lambda case: case.name)
def test_apache_that_is_not_well_is_told(two_with_apache: Two, case: Case) -> None:
    assert_told(two_with_apache, case)


def assert_told(two: Two, case: Case) -> None:
    if case.words:
        two.project.fab(*case.words, "-H", two.ill.name)
        await_sessions(two.ill)
    two.ill.sh(case.breaks)
    assert (seen(two.ill) == "two") is case.served
    shown = two.fab("status", "--json", code=Exit.FAILED)
    status = result(shown)
    ill, well = (one["answer"] for one in status["hosts"])
    assert (well["well"], well["problems"]) == (True, [])
    assert not ill["well"]
    assert [one["what"] for one in ill["problems"]] == [*case.what]
    assert case.says in " ".join(one["detail"] for one in ill["problems"])
    assert {one["host"] for one in status["errors"]} == {two.ill.name}
    assert {one["slug"] for one in status["errors"]} == {"not-well"}
    row = row_of(two.ill, shown.err)
    assert f"  {case.health}  " in row
    assert case.says in row
    assert "  healthy  " in row_of(two.well, shown.err)
    assert shown.err.count(f"error: {two.ill.name}: ") == len(case.what)
    assert shown.err.count(f"[CW{CATALOGUE['not-well'].number}]") == len(case.what)

    shown = two.fab("doctor", "--json", code=Exit.FAILED)
    found = problems(result(shown)["findings"])
    assert {one["host"] for one in found} == {two.ill.name}
    assert {one["what"] for one in found} >= {*case.what}
    assert all(one["next"] and one["next"] in shown.err for one in found)

    two.ill.sh(case.first)
    advice = [part for one in found for part in re.findall(r"`([^`]+)`", one["next"])]
    for beginning in case.next:
        do(two, next(part for part in advice if part.startswith(beginning)))
    two.told("status", code=Exit.OK)
    assert seen(two.ill) == "two"


def row_of(host: LabHost, shown: str) -> str:
    """The host's line in a table."""
    return next(line for line in shown.splitlines() if line.startswith(f"{host.name} "))


def seen(host: LabHost) -> str:
    """What a visitor sees; "" if nothing, or not within seconds."""
    try:
        return get(host, timeout=5)
    except OSError:
        return ""


def do(two: Two, command: str) -> None:
    """What a person does who reads it."""
    words = shlex.split(command)
    if words[0] == "fab":
        assert words[-2:] == ["-H", two.ill.name]
        two.project.fab(*words[1:])
        await_sessions(two.ill)
    else:
        two.ill.sh(command)


def levels(two: Two, what: str) -> list[tuple[str, str]]:
    """What `doctor`, which says that all is well, tells of the ill host under this name."""
    findings = two.told("doctor", code=Exit.OK)["findings"]
    mine = [one for one in findings if (one["host"], one["what"]) == (two.ill.name, what)]
    return [(one["level"], one["detail"]) for one in mine]


@pytest.mark.nightly
def test_a_freeze_is_a_note(two: Two) -> None:
    two.project.fab("lock.hold", "-H", two.ill.name, "--message", "the sale")
    try:
        row = row_of(two.ill, two.fab("status").out)
        assert "  healthy  " in row
        assert "(the sale)" in row
        ((level, detail),) = levels(two, "freeze")
        assert level == "note"
        assert "(the sale)" in detail
    finally:
        two.project.fab("lock.release", "-H", two.ill.name)
    two.assert_well()


@pytest.mark.nightly
def test_a_leftover_is_a_note(two: Two) -> None:
    await_sessions(two.ill)
    two.ill.sh("mkdir -p /srv/shop/releases/0.1.half/venv")
    assert "leftover: half release" in two.fab("status").out
    assert levels(two, "leftover") == [("note", "half release: /srv/shop/releases/0.1.half")]
    findings = two.told("doctor", "--fix", code=Exit.OK)["findings"]
    repairs = [one["detail"] for one in findings if one["what"] == "repair"]
    assert repairs == ["removed half release: /srv/shop/releases/0.1.half", "nothing to do"]
    assert [one["what"] for one in findings].count("lock") == 0, "the lock is its own"
    two.assert_well()


@pytest.mark.nightly
def test_a_deploy_at_work_is_a_note_and_so_is_a_switch_that_nobody_confirmed(two: Two) -> None:
    kept = two.project.folder / "config" / "deploy.toml"
    text = kept.read_text()
    kept.write_text(text.replace("probation_seconds = 0.5", "probation_seconds = 50"))
    two.project.write("app/app.py", APP.replace("{text}", "three"))
    with fab(two.project, "deploy", "-H", two.ill.name) as running:
        running.wait_for(("probation", "start"))
        row = row_of(two.ill, two.fab("status").out)
        assert "  healthy  " in row
        assert "is not confirmed; locked by" in row
        assert [level for level, _ in levels(two, "switch")] == ["note"]
        assert [level for level, _ in levels(two, "lock")] == ["note"]
        two.ill.sh("cp -a /srv/shop/pending.json /root/")
        running.process.send_signal(signal.SIGINT)
        assert running.end() == Exit.INTERRUPTED
    kept.write_text(text)
    two.project.write("app/app.py", APP.replace("{text}", "two"))
    await_sessions(two.ill)
    two.assert_well()
    two.ill.sh("mv /root/pending.json /srv/shop/")
    assert "is not confirmed; leftover: unfinished switch" in two.fab("status").out
    assert [level for level, _ in levels(two, "switch")] == ["note"]
    two.told("doctor", "--fix", code=Exit.OK)
    await_sessions(two.ill)
    two.assert_well()


@pytest.mark.nightly
def test_who_cannot_be_asked_is_not_known_and_the_others_are_shown(two: Two) -> None:
    """An address without a key that is known, a login without sudo, nobody there at all."""
    strangers = {
        "127.0.0.1:1": "ssh-unreachable",
        f"guest@{two.ill.name}": "sudo-password",
        f"root@{two.ill.address}": "host-key-unknown",
    }
    names = ",".join([two.well.name, *strangers])
    done = two.project.fab("status", "-H", names, "--json", code=Exit.FAILED)
    table = done.err[done.err.index("HOST  ") :].splitlines()[1:5]
    rows = {line.split()[0]: line for line in table}
    assert list(rows) == [two.well.name, *strangers]
    assert "  healthy  " in rows[two.well.name]
    assert all("  not known  " in rows[name] for name in strangers)
    status = result(done)
    assert {one["host"]: one["slug"] for one in status["errors"]} == strangers
    assert [bool(one["answer"]) for one in status["hosts"]] == [True, False, False, False]
    for words in (("doctor",), ("doctor", "--fix")):
        told = result(two.project.fab(*words, "-H", names, "--json", code=Exit.FAILED))
        wrong = problems(told["findings"])
        assert [(one["host"], one["what"]) for one in wrong] == [
            (name, "connection") for name in strangers
        ]
        assert all(one["next"] for one in wrong)
        assert ("app", True) in [
            (one["what"], one["ok"]) for one in told["findings"] if one["host"] == two.well.name
        ]


@pytest.mark.nightly
def test_what_cannot_be_read_is_not_known(two: Two) -> None:
    two.ill.sh("cp -a /var/lib/cartwheel/shop.json /root/; echo '{' > /var/lib/cartwheel/shop.json")
    try:
        done = two.fab("status", code=Exit.FAILED)
        assert "  not known  " in row_of(two.ill, done.out)
        assert "/var/lib/cartwheel/shop.json is damaged" in done.err
        assert "Traceback" not in done.text
        found = problems(two.told("doctor", code=Exit.FAILED)["findings"])
        assert {one["host"] for one in found} == {two.ill.name}
    finally:
        two.ill.sh("mv /root/shop.json /var/lib/cartwheel/")
    two.assert_well()


@pytest.mark.nightly
def test_an_app_that_is_not_set_up_or_not_deployed(two: Two, tmp_path: Path) -> None:
    other = new_project(tmp_path, name="other", settings="[web]\nserver_names = ['o.test']")
    names = two.names

    def told(what: tuple[str, ...]) -> None:
        shown = other.fab("status", "-H", names, "--json", code=Exit.FAILED)
        for one in result(shown)["hosts"]:
            assert [each["what"] for each in one["answer"]["problems"]] == [*what]
        assert shown.err.count("  not deployed  ") == 2
        found = problems(
            result(other.fab("doctor", "-H", names, "--json", code=Exit.FAILED))["findings"]
        )
        assert [(one["host"], one["what"]) for one in found] == [
            (host.name, each) for host in (two.ill, two.well) for each in what
        ]

    told(("setup", "serves"))
    other.fab("setup", "-H", names)
    told(("serves",))
    other.fab("deploy", "-H", names)
    other.fab("status", "-H", names)
    other.fab("doctor", "-H", names)
    other.fab("uninstall", "--yes", "-H", names)
    told(("setup", "serves"))
    two.assert_well()
