"""What stays on a host and what it starts: the installed runtime, `enter`, package managers."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host import enter
from cartwheel.host.layout import Layout
from cartwheel.host.packages import apt, kinds
from cartwheel.host.state import environment, releases
from cartwheel.host.system import children, envfile, files, systemd
from cartwheel.host.system.children import Done
from cartwheel.host.system.context import OpError
from cartwheel.host.upkeep import runtime
from cartwheel.ssh.bundle import host_modules
from tests.kit.tiers import only_root
from tests.unit.hostside import Session, host_in

ROOT = os.geteuid() == 0
CHECKOUT = Path(__file__).parents[3]


def own_sources() -> dict[str, str]:
    """What a session's bundle has (cartwheel.host.upkeep.setup.own_sources)."""
    return host_modules()


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """Whose directories are is not the matter here: without root they are the tester's own."""
    if not ROOT:
        own = partial(files.directory, uid=os.geteuid(), gid=os.getegid())
        monkeypatch.setattr(files, "directory", own)
    return host_in(tmp_path, monkeypatch)


@pytest.fixture
def calls(at: Layout, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What systemctl is asked; it enables."""
    seen: list[list[str]] = []

    def run(_ctx: Any, argv: list[str], *_more: Any, **_named: Any) -> str:
        seen.append(argv)
        if "enable" in argv:
            wants = at.boot_unit.parent / "multi-user.target.wants"
            wants.mkdir(exist_ok=True)
            (wants / at.boot_unit.name).symlink_to(at.boot_unit)
        return ""

    monkeypatch.setattr(children, "check", run)
    monkeypatch.setattr(systemd, "reload", lambda _ctx=None: seen.append(["daemon-reload"]))
    return seen


def install(at: Layout, sources: dict[str, str], unit: str = "boot") -> bool:
    host_files = {str(at.boot_unit): unit}
    return runtime.install(Session().ctx(), at, sources, host_files)


def test_the_installed_recover_runs_alone(at: Layout, calls: list[list[str]]) -> None:
    """By its script, with nothing of this checkout on its path."""
    assert install(at, own_sources())
    module = at.lib / "current" / "cartwheel" / "host"
    assert {path.name for path in module.parent.glob("[!_]*")} == {"host"}
    assert (module / "__init__.py").read_text() == own_sources()["cartwheel.host"]
    for name in ("recover", "enter"):
        done = subprocess.run(
            [str(at.lib / name), "--settle"],
            capture_output=True,
            text=True,
            cwd="/",
            env={"PATH": os.environ["PATH"]},
            check=False,
        )
        assert "ModuleNotFoundError" not in done.stderr
    assert done.returncode == 1
    assert done.stderr == f"this host is not set up for {at.app}\n"


def test_a_second_installation_changes_nothing(at: Layout, calls: list[list[str]]) -> None:
    sources = {"cartwheel.host": "", "cartwheel.host.recover": "x = 1"}
    assert install(at, sources)
    calls.clear()
    assert not install(at, sources)
    assert calls == []


def test_another_version_replaces_the_old_one_with_one_rename(
    at: Layout, calls: list[list[str]]
) -> None:
    install(at, {"cartwheel.host.recover": "x = 1"})
    old = (at.lib / "current").readlink()
    install(at, {"cartwheel.host.recover": "x = 2"})
    assert (at.lib / "current").readlink() != old
    assert not (at.lib / old).exists()
    text = (at.lib / "current" / "cartwheel" / "host" / "recover.py").read_text()
    assert text == "x = 2"


def test_the_boot_unit_is_enabled_once_and_reloaded_when_it_changes(
    at: Layout, calls: list[list[str]]
) -> None:
    sources = {"cartwheel.host.recover": ""}
    install(at, sources, "one")
    assert calls == [["daemon-reload"], ["systemctl", "enable", "--quiet", at.boot_unit.name]]
    calls.clear()
    install(at, sources, "two")
    assert calls[0] == ["daemon-reload"]
    assert at.boot_unit.read_text() == "two"


def test_nothing_leads_to_a_version_before_all_of_it_is_durable(
    at: Layout, calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut may keep a link and lose, or tear, what it leads to: bytecode above all."""
    synced: list[set[str]] = []

    def sync(path: Path) -> None:
        assert not (at.lib / "current").is_symlink()
        synced.append({one.name for one in path.rglob("*.pyc")})

    monkeypatch.setattr(files, "sync_filesystem", sync)
    sources = {"cartwheel.host": "", "cartwheel.host.recover": "x = 1"}
    install(at, sources)
    assert len(synced) == 1
    assert any(name.startswith("recover.") for name in synced[0])


def test_an_interrupted_installation_compiles_anew(at: Layout, calls: list[list[str]]) -> None:
    sources = {"cartwheel.host": "", "cartwheel.host.recover": "x = 1"}
    install(at, sources)
    version = (at.lib / "current").readlink()
    (module,) = (at.lib / version).rglob("recover.*.pyc")
    whole = module.read_bytes()
    module.write_bytes(whole[: len(whole) // 2])  # the power went before `current` led there
    (at.lib / "current").unlink()
    install(at, sources)
    assert module.read_bytes()[16:] == whole[16:]


def test_what_starts_at_boot_is_durable(
    at: Layout, calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(files, "fsync_dir", synced.append)
    install(at, {"cartwheel.host.recover": "x = 1"})
    wants = at.boot_unit.parent / "multi-user.target.wants"
    assert synced.index(wants) > synced.index(at.boot_unit.parent), "the unit, then its link"
    assert at.boot_unit.parent in synced[synced.index(wants) :], "systemctl may have made it"


def test_the_version_is_the_content() -> None:
    assert runtime.digest({"a": "1", "b": "2"}) == runtime.digest({"b": "2", "a": "1"})
    assert runtime.digest({"a": "1"}) != runtime.digest({"a": "2"})
    assert runtime.digest({"a": "1"}) != runtime.digest({"b": "1"})


# -- enter


def deployed(at: Layout, user: str, **variables: str) -> None:
    folder = at.release("1.a")
    folder.mkdir()
    (folder / "env").write_text(envfile.dump(variables))
    at.shared.mkdir()
    at.shared.chmod(0o755)
    releases.point(at, at.current, "1.a")
    files.write_json(at.record, {"user": user, "group": user}, 0o600)


def test_the_environment_of_a_release(at: Layout) -> None:
    deployed(at, "nobody", SECRET="a\nb", LANG="de_DE.UTF-8", PATH="/opt/bin")
    values = environment.of_release(at, "1.a")
    assert values["SECRET"] == "a\nb"
    assert values["LANG"] == "de_DE.UTF-8"
    assert values["PATH"] == f"{at.release('1.a')}/venv/bin:/opt/bin"
    assert values["HOME"] == str(at.shared)
    assert "LOGNAME" not in values or values["LOGNAME"] != os.environ.get("LOGNAME")


def test_enter_says_what_is_missing(at: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [at.app, str(at.base), "true"]
    for prepare, message in (
        (lambda: None, "this host is not set up for shop"),
        (
            lambda: files.write_json(at.record, {"user": "nobody", "group": "nogroup"}),
            "shop is not deployed",
        ),
        (lambda: deployed(at, "no-such-user"), "no user no-such-user"),
        (lambda: files.write_json(at.record, {"user": "nobody", "group": "nogroup"}), "env"),
    ):
        prepare()
        if message == "env":
            (at.release("1.a") / "env").unlink()
        assert enter.main(argv) == 1
        assert message in capsys.readouterr().err


def entered(at: Layout, *command: str) -> subprocess.CompletedProcess[str]:
    """`enter` in a process of its own, whose host is the folder of `at`."""
    code = (
        "import sys; from pathlib import Path; from cartwheel.host import enter, layout;"
        f"layout.STATE = Path({str(at.record.parent)!r}); sys.exit(enter.main(sys.argv[1:]))"
    )
    argv = [sys.executable, "-c", code, at.app, str(at.base), *command]
    return subprocess.run(
        argv,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "OF_THE_LOGIN": "x", "PYTHONPATH": str(CHECKOUT)},
        check=False,
    )


@only_root("becomes another user (setuid(2))")
def test_enter_becomes_the_apps_user_with_the_apps_variables(at: Layout) -> None:
    for folder in (at.root, *at.root.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    deployed(at, "nobody", SECRET="s p a c e", EMPTY="")
    nobody = pwd.getpwnam("nobody")
    done = entered(at, 'id -u; id -g; pwd; echo "$SECRET"; echo "$USER $HOME"; umask; env')
    lines = done.stdout.splitlines()
    assert lines[:4] == [str(nobody.pw_uid), str(nobody.pw_gid), str(at.shared), "s p a c e"]
    assert lines[4] == f"nobody {at.shared}"
    assert lines[5] == "0027"
    assert "OF_THE_LOGIN=x" not in lines
    assert entered(at, "exit 7").returncode == 7


# -- packages


class Tools:
    """dpkg-query and apt-get as scripted; what they were asked."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, installed: set[str], fail: str = ""
    ) -> None:
        self.asked: list[list[str]] = []
        self.installed, self.fail = installed, fail
        monkeypatch.setattr(children, "run", self.run)
        monkeypatch.setattr(children, "ask", self.ask)

    def ask(self, argv: list[str], **_more: Any) -> Done:
        assert argv[0] == "dpkg-query"
        there = argv[-1] in self.installed
        return Done(0 if there else 1, "installed" if there else "", "")

    def run(self, _ctx: Any, argv: list[str], **more: Any) -> Done:
        self.asked.append(argv)
        assert more["env"]["DEBIAN_FRONTEND"] == "noninteractive"
        return Done(100, self.fail) if self.fail and "install" in argv else Done(0, "")


def test_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    Tools(monkeypatch, {"nginx"})
    assert apt.Apt().missing(["nginx", "git"]) == ["git"]


def test_a_removed_package_with_its_configuration_left_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(children, "ask", lambda *_args, **_more: Done(0, "config-files\n", ""))
    assert apt.Apt().missing(["nginx"]) == ["nginx"]


def test_installing_says_apts_own_reason(at: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = Tools(monkeypatch, set(), fail="Reading...\nE: Unable to locate package gti\nE: more")
    with pytest.raises(OpError) as caught:
        apt.Apt().install(Session().ctx(), ["gti"])
    assert caught.value.slug == "packages"
    assert "gti" in caught.value.message
    assert "Unable to locate package gti" in caught.value.message
    assert "Reading..." in caught.value.log
    assert [argv[0] for argv in tools.asked] == ["apt-get", "apt-get"]
    assert all("DPkg::Lock::Timeout=120" in argv for argv in tools.asked), "it waits for others"


def test_packages_of_a_python() -> None:
    assert apt.Apt().python("3.11") == ["python3.11", "python3.11-venv"]


@pytest.mark.parametrize(
    ("there", "said"), [("dnf", "by dnf"), ("apk", "by apk"), ("nothing", "something unknown")]
)
def test_another_package_manager_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, there: str, said: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, **_more: "/x" if name == there else None)
    with pytest.raises(OpError, match=said) as caught:
        kinds.of_this_host()
    assert caught.value.slug == "package-manager"
