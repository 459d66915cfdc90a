"""The rendered units under systemd's own tools."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host.layout import TEMPLATE_UNIT, Layout, first_of
from cartwheel.render.release import RenderedFile, RenderFacts, render_release
from cartwheel.settings.toml_tables import Settings

ANALYZE = shutil.which("systemd-analyze") or "systemd-analyze"
LOGROTATE = shutil.which("logrotate", path="/usr/sbin:/usr/bin") or "logrotate"
MOST_EXPOSURE = 1.5


def version() -> int:
    """Of the systemd on this machine: what an older one does not know, it complains of."""
    text = subprocess.run([ANALYZE, "--version"], check=True, capture_output=True, text=True).stdout
    return int(text.split()[1])


def rendered(tmp_path: Path, **more: Any) -> dict[str, RenderedFile]:
    settings = Settings.model_validate(
        {
            "app": {"name": "shop", "source": "."},
            "environment": "live",
            "host": {"base": str(tmp_path)},
            **more,
        }
    )
    facts = RenderFacts(2, version(), "3.11.2", default_server_free=True, ipv6=True)
    return render_release(settings, facts, "1.0.2a", tmp_path)


def installed(tmp_path: Path, files: dict[str, RenderedFile]) -> list[Path]:
    """The units under their real names, beside the programs that they start."""
    at = Layout("shop.live", tmp_path)
    program = at.release("1.0.2a") / "venv/bin/gunicorn"
    program.parent.mkdir(parents=True)
    program.symlink_to("/bin/true")
    folder = tmp_path / "units"
    folder.mkdir()
    units = [folder / at.unit_file(first_of("1.0.2a")).name, folder / at.boot_unit.name]
    units[0].write_text(files[TEMPLATE_UNIT].content)
    boot = files["boot.service"].content
    assert f"ExecStart={at.lib}/recover --boot\n" in boot
    units[1].write_text(boot.replace(f"{at.lib}/recover", "/bin/true"))
    return units


VARIANTS: list[dict[str, Any]] = [
    {},
    {
        "hardening": {
            "memory_max": "512M",
            "memory_deny_write_execute": True,
            "read_write_paths": ["/mnt/my files", '/mnt/%n"quoted\\'],
        }
    },
    {"gunicorn": {"worker_class": "gevent", "threads": 8}, "deploy": {"drain_seconds": 0.5}},
]


LOOSENED: dict[str, Any] = {
    "hardening": {
        "folders": ["/var/lib/shop"],
        "allow": ["nice", "affinity", "netlink", "raw-sockets"],
        "unit": ["PrivateDevices=no", "LimitNPROC=100"],
    }
}


@pytest.mark.parametrize("variant", [*VARIANTS, LOOSENED])
def test_systemd_accepts_the_units_without_a_word(tmp_path: Path, variant: dict[str, Any]) -> None:
    units = installed(tmp_path, rendered(tmp_path, **variant))
    done = subprocess.run(
        [ANALYZE, "verify", "--man=no", *map(str, units)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "cartwheel" in line]
    assert (done.returncode, ours) == (0, [])


def test_only_what_is_allowed_is_loosened(tmp_path: Path) -> None:
    def lines(**hardening: object) -> set[str]:
        return set(rendered(tmp_path, hardening=hardening)[TEMPLATE_UNIT].content.splitlines())

    strict = lines()
    assert lines(allow=["netlink"]) - strict == {"RestrictAddressFamilies=AF_NETLINK"}
    assert lines(allow=["raw-sockets"]) - strict == {
        "RestrictAddressFamilies=AF_PACKET",
        "CapabilityBoundingSet=CAP_NET_RAW",
        "AmbientCapabilities=CAP_NET_RAW",
        "PrivateUsers=no",
    }
    assert lines(folders=["/var/lib/x"]) - strict == {'ReadWritePaths="/var/lib/x"'}
    own = rendered(tmp_path, hardening={"unit": ["PrivateDevices=no"]})[TEMPLATE_UNIT].content
    assert own.index("PrivateDevices=yes") < own.index("PrivateDevices=no")


def test_systemd_would_complain_of_a_wrong_unit(tmp_path: Path) -> None:
    """So that the test above can fail."""
    [unit, *_] = installed(tmp_path, rendered(tmp_path))
    unit.write_text(unit.read_text().replace("KillMode=", "KilMode="))
    done = subprocess.run(
        [ANALYZE, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert "KilMode" in done.stderr


@pytest.mark.parametrize("variant", VARIANTS)
def test_little_is_exposed(tmp_path: Path, variant: dict[str, Any]) -> None:
    [unit, *_] = installed(tmp_path, rendered(tmp_path, **variant))
    done = subprocess.run(
        [ANALYZE, "security", "--no-pager", "--offline=yes", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    assert float(found.group(1)) <= MOST_EXPOSURE


def test_stopping_takes_longer_than_draining(tmp_path: Path) -> None:
    text = rendered(tmp_path, deploy={"drain_seconds": 90.5})[TEMPLATE_UNIT].content
    assert "\nTimeoutStopSec=101\n" in text


def test_growing_pauses_only_where_systemd_has_them(tmp_path: Path) -> None:
    settings = Settings.model_validate({"app": {"name": "shop", "source": "."}})
    for number, has in ((247, False), (253, False), (254, True), (257, True)):
        facts = RenderFacts(2, number, "3.11.2", default_server_free=True, ipv6=True)
        text = render_release(settings, facts, "1", tmp_path)[TEMPLATE_UNIT].content
        assert ("RestartSteps=" in text) is has
        assert "Restart=always\nRestartSec=1\n" in text


def test_an_interpreter_below_a_home_is_not_hidden(tmp_path: Path) -> None:
    """Where it is was found out on the host (`host.reach`)."""
    settings = Settings.model_validate({"app": {"name": "shop", "source": "."}})
    for in_home, protect in ((False, "yes"), (True, "read-only")):
        facts = RenderFacts(2, 252, "3.11.2", True, True, python_in_home=in_home)
        text = render_release(settings, facts, "1", tmp_path)[TEMPLATE_UNIT].content
        assert f"\nProtectHome={protect}\n" in text


def test_log_rotation_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "cartwheel"
    path.write_text(rendered(tmp_path)["logrotate.conf"].content)
    path.chmod(0o644)
    done = subprocess.run(
        [LOGROTATE, "--debug", "--state", str(tmp_path / "state"), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "error" in done.stderr) == (0, False), done.stderr
