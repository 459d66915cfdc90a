"""What others changed on a host. Texts are what apt, dpkg, sudo and systemd of Debian 12 wrote."""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path

import pytest

from cartwheel.host.diagnose import changed, machine
from cartwheel.host.diagnose.changed import Own
from cartwheel.host.diagnose.found import Window
from cartwheel.host.diagnose.journal_entries import Entry
from cartwheel.host.layout import Layout
from cartwheel.host.system import children
from cartwheel.host.wire.diagnosis import Change

_HISTORY = """
Start-Date: 2026-11-30  16:42:22
Commandline: apt-get -q -y --no-install-recommends install nginx
Requested-By: alice (1003)
Install: nginx-common:amd64 (1.22.1-9+deb12u9, automatic), nginx:amd64 (1.22.1-9+deb12u9)
End-Date: 2026-11-30  16:42:24

Start-Date: 2026-11-30  17:01:41
Commandline: /usr/bin/unattended-upgrade
Upgrade: libssl3:amd64 (3.0.15-1, 3.0.17-1)
Remove: sl:amd64 (5.02-1+b1)
End-Date: 2026-11-30  17:01:41

Start-Date: 2026-11-30  18:00:00
Commandline: apt-get update
End-Date: 2026-11-30  18:00:01
"""


def _at(clock: str) -> float:
    return time.mktime(time.strptime(f"2026-11-30 {clock}", "%Y-%m-%d %H:%M:%S"))


def _runs() -> list[changed.AptRun]:
    return changed.apt_runs([_HISTORY])


def test_packages() -> None:
    first, second = (run.change for run in _runs())
    assert first == Change(
        _at("16:42:22"),
        "packages",
        "installed nginx 1.22.1-9+deb12u9, nginx-common 1.22.1-9+deb12u9"
        " (apt-get -q -y --no-install-recommends install nginx)",
        "alice",
    )
    assert second.detail == (
        "upgraded libssl3 3.0.15-1 to 3.0.17-1, removed sl 5.02-1+b1 (/usr/bin/unattended-upgrade)"
    )


def test_many_packages_are_counted() -> None:
    many = ", ".join(f"lib{number}:amd64 ({number}, automatic)" for number in range(50))
    text = f"Start-Date: 2026-11-30  16:42:22\nInstall: {many}, wanted:amd64 (1)\n"
    detail = changed.apt_runs([text])[0].change.detail
    assert detail.startswith("installed wanted 1, lib0 0, ")
    assert detail.endswith(" and 45 more")


@pytest.mark.parametrize("packed", [False, True])
def test_the_newest_runs_of_a_long_history(tmp_path: Path, packed: bool) -> None:
    old = "Start-Date: 2026-11-01  16:42:22\nInstall: old:amd64 (1)\n\n" * 20_000  # 1.2 MB
    path = tmp_path / ("history.log.1.gz" if packed else "history.log")
    data = f"{old}{_HISTORY}".encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    assert changed.apt_runs([changed._tail(path)])[-1].change == _runs()[-1].change


def test_a_history_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "damaged.gz").write_bytes(b"no gzip")
    os.mkfifo(tmp_path / "history.log")
    assert [changed._tail(one) for one in (*tmp_path.iterdir(), tmp_path / "none")] == ["", "", ""]


def test_dpkg_alone() -> None:
    text = (
        "2026-11-30 16:42:23 install nginx:amd64 <none> 1.22.1-9+deb12u9\n"  # by apt
        "2026-11-30 17:01:40 install sl:amd64 <none> 5.02-1+b1\n"
        "2026-11-30 17:01:41 remove sl:amd64 5.02-1+b1 <none>\n"  # by apt
        "2026-11-30 17:01:42 status installed sl:amd64 5.02-1+b1\n"
        "2026-11-29 10:00:00 install old:amd64 <none> 1\n"
    )
    found = changed.dpkg_changes(text, _runs(), _at("00:00:00"))
    assert [one.detail for one in found] == ["installed sl 5.02-1+b1 (dpkg)"]


# --- the journal --------------------------------------------------------------------------


def _own(tmp_path: Path) -> Own:
    return Own(Layout("shop", tmp_path))


def _entry(at: float, message: str, program: str = "sudo", message_id: str = "") -> Entry:
    return Entry(at, message, "7", "", program, message_id)


def _unit(at: float, unit: str, message_id: str) -> Entry:
    return Entry(at, "...", "1", unit, "systemd", message_id)


@pytest.mark.parametrize(
    ("message", "detail"),
    [
        (
            "   alice : PWD=/root ; USER=root ; COMMAND=/usr/bin/systemctl restart nginx",
            "sudo /usr/bin/systemctl restart nginx",
        ),
        (
            "   alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/rm -rf /srv/x",
            "sudo /usr/bin/rm -rf /srv/x",
        ),
        (
            "alice : PWD=/ ; USER=root ; COMMAND=/usr/bin/mysql -u root -phush shop",
            "sudo /usr/bin/mysql -u root -p*** shop",
        ),
        ("   alice : PWD=/root ; USER=root ; COMMAND=/usr/bin/ls /root", ""),
        ("   alice : PWD=/ ; USER=root ; COMMAND=/usr/bin/systemctl status nginx", ""),
        ("   alice : PWD=/ ; USER=root ; COMMAND=/usr/sbin/nginx -t", ""),
        ("   alice : command not allowed ; PWD=/ ; USER=root ; COMMAND=/usr/bin/rm x", ""),
        ("   alice : a password is required ; PWD=/ ; USER=root ; COMMAND=/usr/bin/rm x", ""),
        ('alice : PWD=/ ; COMMAND=/usr/bin/python3 -I -c h=chr(10)+"CARTWHEEL-"', ""),
        ("pam_unix(sudo:session): session closed for user root", ""),
    ],
)
def test_commands(tmp_path: Path, message: str, detail: str) -> None:
    found = changed.journal_changes([_entry(100.0, message)], _own(tmp_path))
    wanted = [Change(100.0, "command", detail, "alice")] if detail else []
    assert found == wanted


@pytest.mark.parametrize(
    ("command", "is_change"),
    [
        ("/usr/bin/cat /etc/hosts", False),
        ("list", False),  # sudo -l
        ("/usr/sbin/nginx -T", False),
        ("/usr/sbin/sshd -t", False),
        ("/usr/sbin/apache2ctl -S", False),
        ("/usr/bin/mount -t tmpfs tmpfs /srv/shop/shared", True),
        ("/usr/sbin/useradd -M bob", True),
        ("/usr/sbin/iptables -t nat -F", True),
        ("/usr/bin/find / -name core", False),
        ("/usr/bin/find / -name core -delete", True),
        ("/usr/bin/find /srv -type f -exec chmod 0 {} +", True),
        ("/usr/bin/find /srv -fprint /etc/hosts", True),
        ("/usr/bin/journalctl -u shop --since today", False),
        ("/usr/bin/journalctl --vacuum-size=1M", True),
        ("/usr/bin/journalctl --rotate", True),
        ("/usr/bin/dmesg -T", False),
        ("/usr/bin/dmesg -C", True),
        ("/usr/bin/dmesg --clear", True),
        ("/usr/bin/ss -tlnp", False),
        ("/usr/bin/ss -K dst 10.0.0.5", True),
        ("/usr/bin/systemctl is-active nginx", False),
        ("/usr/bin/systemctl stop nginx", True),
        ("/usr/bin/lsof-killer", True),
    ],
)
def test_what_only_shows_something_is_no_change(
    tmp_path: Path, command: str, is_change: bool
) -> None:
    entry = _entry(100.0, f"alice : PWD=/ ; USER=root ; COMMAND={command}")
    found = changed.journal_changes([entry], _own(tmp_path))
    assert [one.detail for one in found] == ([f"sudo {command}"] if is_change else [])


def test_services_accounts_and_the_clock(tmp_path: Path) -> None:
    entries = [
        _unit(100.0, "redis-server.service", changed._STOPPED),
        _unit(101.0, "redis-server.service", changed._STARTED),
        _unit(200.0, "mariadb.service", changed._STOPPED),
        _unit(300.0, "cron.service", changed._FAILED),
        _entry(400.0, "new user: name=bob, UID=1004, GID=1004, home=/home/bob", "useradd"),
        _entry(401.0, "new group: name=bob, GID=1004", "useradd"),
        _entry(402.0, "delete user 'alice'", "userdel"),
        _entry(500.0, "System clock time unset or jumped", "systemd", changed._JUMPED),
    ]
    found = changed.journal_changes(list(reversed(entries)), _own(tmp_path))
    assert [(one.at, one.kind, one.detail) for one in found] == [
        (100.0, "service", "redis-server.service was restarted"),
        (200.0, "service", "mariadb.service was stopped"),
        (300.0, "service", "cron.service failed"),
        (400.0, "account", "new user: name=bob"),
        (402.0, "account", "delete user 'alice'"),
        (500.0, "clock", "the clock was set: System clock time unset or jumped"),
    ]


def test_what_follows_from_a_command_is_not_said_twice(tmp_path: Path) -> None:
    command = "alice : PWD=/ ; USER=root ; COMMAND=/usr/bin/systemctl stop mariadb"
    entries = [
        _entry(100.0, command),
        _unit(101.0, "mariadb.service", changed._STOPPED),
        _unit(102.0, "redis-server.service", changed._STOPPED),
    ]
    found = changed.journal_changes(entries, _own(tmp_path))
    assert [one.detail for one in found] == [
        "sudo /usr/bin/systemctl stop mariadb",
        "redis-server.service was stopped",
    ]


@pytest.mark.parametrize(
    ("at", "what", "by_boot"),
    [
        (995.0, "was stopped", True),
        (995.0, "was restarted", True),
        (1010.0, "was started", True),
        (1010.0, "was stopped", False),
        (500.0, "was stopped", False),
        (1500.0, "was started", False),
    ],
)
def test_what_a_boot_does_is_not_somebodys_change(at: float, what: str, by_boot: bool) -> None:
    assert changed.by_boot(Change(at, "service", f"x.service {what}"), 1000.0) == by_boot
    assert not changed.by_boot(Change(at, "file", f"x.service {what}"), 1000.0)


def test_a_reload_by_a_deploy_is_not_somebody_elses(tmp_path: Path) -> None:
    at = Layout("shop", tmp_path)
    at.root.mkdir()
    at.journal.write_text('{"seq": 1, "at": 1000.0, "kind": "deploy", "result": "confirmed"}\n')
    own = Own(at)
    entries = [_unit(when, "x.service", changed._RELOADED) for when in (500.0, 990.0)]
    assert [one.at for one in changed.journal_changes(entries, own)] == [500.0]
    unit_file = "/etc/systemd/system/cartwheel-shop.web.1.0@.service"
    assert own.wrote(unit_file, 990.0)
    assert not own.wrote(unit_file, 500.0), "somebody else changed it"
    assert not own.wrote("/etc/hosts", 990.0)


def test_what_a_timers_job_runs_by_is_not_somebodys_change(tmp_path: Path) -> None:
    at = Layout("shop", tmp_path)
    source = at.job_source("tidy", "1.0.0.bb13a6fd")
    source.parent.mkdir(parents=True)
    source.write_text("[Service]")
    unit = tmp_path / at.job_unit("tidy", "1.0.0.bb13a6fd").name
    unit.write_text("[Service]")
    assert Own(at).wrote(str(unit), 500.0)
    unit.write_text("[Service]\nUser=root")
    assert not Own(at).wrote(str(unit), 500.0), "somebody else changed it"


COMMAND = "alice : PWD=/ ; USER=root ; COMMAND="


def _journalctl(folder: Path, messages: list[object], end: str = "") -> None:
    """One that has these messages of sudo, as it writes them with --reverse, and then does `end`.
    Without --all it would leave out long texts (journalctl(1)): this one leaves out all then."""
    entries = [
        {"__REALTIME_TIMESTAMP": str(100_000_000 - number), "_COMM": "sudo", "MESSAGE": message}
        for number, message in enumerate(messages)
    ]
    (folder / "entries").write_text("".join(json.dumps(one) + "\n" for one in entries))
    program = folder / "journalctl"
    program.write_text(f'#!/bin/sh\ncase "$*" in *--all*) cat {folder}/entries;; esac\n{end}\n')
    program.chmod(0o755)


def test_the_journal_is_read_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_PATH", f"{tmp_path}:{children._PATH}")
    at, window = Layout("shop", tmp_path), Window(0.0, 200.0)
    long = f"{COMMAND}/usr/bin/tee {'x' * 5000}"
    _journalctl(tmp_path, [long, list(f"{COMMAND}/usr/bin/touch \x07".encode())])
    found, unread = changed.by_journal(at, window, Own(at))
    assert [one.detail[:20] for one in found] == ["sudo /usr/bin/touch ", "sudo /usr/bin/tee xx"]
    assert unread == []
    # One that does not end: what it said until then stays.
    monkeypatch.setattr(changed, "_ASK_SECONDS", 0.3)
    _journalctl(tmp_path, [long], "exec sleep 60")
    found, unread = changed.by_journal(at, window, Own(at))
    assert len(found) == 1
    assert unread == ["commands and services older than 100 s: there are too many"]
    monkeypatch.setattr(changed, "_MOST_ENTRIES", 2)
    _journalctl(tmp_path, [long, long])
    assert changed.by_journal(at, window, Own(at))[1] == unread


# --- files --------------------------------------------------------------------------------


def test_files(tmp_path: Path) -> None:
    own = _own(tmp_path)
    files = {"/etc/hosts": 5000.0, "/etc/late": 5500.0, "/etc/booted": 9000.0}
    files["/etc/nginx/packaged"] = _at("16:42:23")
    found = changed.file_changes(files, _runs(), own, 9001.0)
    assert [(one.at, one.detail) for one in found] == [
        (5000.0, "/etc/hosts changed"),
        (5500.0, "/etc/late changed"),
    ]


def test_many_files_at_once_are_one_change(tmp_path: Path) -> None:
    files = {f"/etc/x/{number:02}": 5000.0 + number for number in range(40)}
    (found,) = changed.file_changes(files, [], _own(tmp_path), 0.0)
    assert found.detail == "40 files changed: /etc/x/00, /etc/x/01, /etc/x/02, ..."


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("/etc/hosts", True),
        ("/etc/sudoers.d/alice", True),
        ("/etc/passwd-", False),
        ("/etc/ssl/certs/4b718d9b.0", False),
        ("/etc/ssl/private/shop.pem", True),
        ("/etc/nginx/nginx.conf.dpkg-old", False),
        ("/etc/.pwd.lock", False),
        ("/etc/.nginx.conf.swp", False),
    ],
)
def test_which_files_count(path: str, counts: bool) -> None:
    assert (changed._NOT.search(path) is None) == counts


# --- the machine --------------------------------------------------------------------------


def test_the_newest_kernel(tmp_path: Path) -> None:
    for name in ("vmlinuz-6.1.0-9-amd64", "vmlinuz-6.1.0-37-amd64", "config-6.12.0-1-amd64"):
        (tmp_path / name).touch()
    assert machine.newest_kernel(str(tmp_path)) == "6.1.0-37-amd64"
    assert machine.newest_kernel(str(tmp_path / "none")) == ""


def test_packages_that_want_a_reboot(tmp_path: Path) -> None:
    assert machine.restart_wanted(str(tmp_path)) == ()
    (tmp_path / "reboot-required").write_text("*** System restart required ***\n")
    assert machine.restart_wanted(str(tmp_path)) == ("a package",)
    (tmp_path / "reboot-required.pkgs").write_text("linux-image-amd64\nlibc6\nlibc6\n")
    assert machine.restart_wanted(str(tmp_path)) == ("linux-image-amd64", "libc6")


def test_this_machine_is_read() -> None:
    assert 0 < machine.booted() <= time.time()
    assert machine.pressure("nothing", "some") is None
    assert machine._memory()["MemTotal"] > 0
