"""What a fault left is found, listed and taken away: by `fab doctor --fix` and by a deploy.

Every kind is planted on a real host, and beside each one something that only looks like it
and is somebody's own.
"""

from __future__ import annotations

import json

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit.host import await_sessions, current, get, main_pids
from tests.kit.project import Project, new_project

OLD_HOST_SIDE = "0123456789abcdef"
WHEEL = "ab" * 32
# No process has it: pid_max is 4194304 at most (proc(5)).
PID = 99999999

# A release's own unit does not start for ever; a stray one shall run.
_STRAY = """
[Service]
ExecStart=/bin/sleep 600
"""

_PLANT = f"""
cd /srv/shop
mkdir -p releases/0.1.half/venv && echo '{{}}' > releases/0.1.half/steps.json
mkdir releases/0.2.empty
mkdir -p releases/.gone-0.3.was/venv
mkdir -p cache/wheels/{WHEEL} && touch cache/wheels/{WHEEL}/x.whl
mkdir cache/wheels/.gone-{WHEEL}
touch .current.cartwheel-12 .pending.json.cartwheel-13
ln -s releases/none releases/$(basename $(readlink current))/.http.sock.cartwheel-14
ln -s releases/none .current.spare
touch /etc/nginx/conf.d/.cartwheel-shop.conf.cartwheel-15
touch /etc/nginx/sites-enabled/.default.cartwheel-{PID}
mkdir -p balancer /etc/systemd/system/nginx.service.d
touch balancer/.web1.sock.cartwheel-18 balancer/.out.json.cartwheel-19
touch /etc/nginx/conf.d/.cartwheel-shop_balancer.conf.cartwheel-20
touch /etc/systemd/system/nginx.service.d/.cartwheel-shop_balancer.conf.cartwheel-21
touch /etc/tmpfiles.d/.cartwheel-shop_balancer.conf.cartwheel-22
touch /etc/logrotate.d/.cartwheel-shop.conf.cartwheel-23
mkdir -p .gone-cache/wheels .gone-balancer /run/cartwheel/.gone-.balancer.shop
mkdir -p /usr/local/lib/cartwheel/.gone-shop/current /var/log/cartwheel/.gone-shop
touch /etc/systemd/system/.cartwheel-shop.web.0.1.half.service.cartwheel-16
touch /etc/systemd/system/cartwheel-shop.web.0.4.gone.service
touch /var/lib/cartwheel/.shop.json.cartwheel-17
mkdir -p /run/cartwheel/shop/0.4.gone/web
mkdir -p /usr/local/lib/cartwheel/shop/{OLD_HOST_SIDE}
mkdir -p /tmp/cartwheel-nginx-{PID}-x/0 /tmp/cartwheel-units-{PID}-y
touch /var/tmp/cartwheel-spool-{PID}-z
mkdir -p /usr/local/lib/cartwheel/.pip/.new-{PID}-w
mkdir -p /usr/local/lib/cartwheel/.uv/.new-{PID}-w
install -d -o shop -g shop cache/pip/tmp cache/pip/tmp/pip-build-env-q
install -d -o shop -g shop cache/pip/uv cache/pip/uv/builds-v0 cache/pip/uv/builds-v0/.tmpu
cat > /etc/systemd/system/cartwheel-shop.web-b.0.5.stray.service <<'END'
{_STRAY}
END
systemctl start cartwheel-shop.web-b.0.5.stray
systemd-run --quiet --unit cartwheel-session-shop-0a1b2c3d false
for n in $(seq 100); do
  systemctl is-failed -q cartwheel-session-shop-0a1b2c3d && break
  sleep 0.1
done
"""

_DROP_INS = "/etc/systemd/system/nginx.service.d"
PLANTED = {
    "half release: /srv/shop/releases/0.1.half",
    "half release: /srv/shop/releases/0.2.empty",
    "half removed: /srv/shop/releases/.gone-0.3.was",
    f"unneeded wheel: /srv/shop/cache/wheels/{WHEEL}",
    f"half removed: /srv/shop/cache/wheels/.gone-{WHEEL}",
    "temporary file: /srv/shop/.current.cartwheel-12",
    "temporary file: /srv/shop/.pending.json.cartwheel-13",
    "temporary file: /srv/shop/releases/CURRENT/.http.sock.cartwheel-14",
    "spare link: /srv/shop/.current.spare",
    "temporary file: /etc/nginx/conf.d/.cartwheel-shop.conf.cartwheel-15",
    f"temporary file: /etc/nginx/sites-enabled/.default.cartwheel-{PID}",
    "temporary file: /srv/shop/balancer/.web1.sock.cartwheel-18",
    "temporary file: /srv/shop/balancer/.out.json.cartwheel-19",
    "temporary file: /etc/nginx/conf.d/.cartwheel-shop_balancer.conf.cartwheel-20",
    f"temporary file: {_DROP_INS}/.cartwheel-shop_balancer.conf.cartwheel-21",
    "temporary file: /etc/tmpfiles.d/.cartwheel-shop_balancer.conf.cartwheel-22",
    "temporary file: /etc/logrotate.d/.cartwheel-shop.conf.cartwheel-23",
    "half removed: /srv/shop/.gone-cache",
    "half removed: /srv/shop/.gone-balancer",
    "half removed: /run/cartwheel/.gone-.balancer.shop",
    "half removed: /usr/local/lib/cartwheel/.gone-shop",
    "half removed: /var/log/cartwheel/.gone-shop",
    "temporary file: /etc/systemd/system/.cartwheel-shop.web.0.1.half.service.cartwheel-16",
    "stray unit file: /etc/systemd/system/cartwheel-shop.web.0.4.gone.service",
    "temporary file: /var/lib/cartwheel/.shop.json.cartwheel-17",
    "runtime directory: /run/cartwheel/shop/0.4.gone",
    f"old host side: /usr/local/lib/cartwheel/shop/{OLD_HOST_SIDE}",
    f"scratch folder: /tmp/cartwheel-nginx-{PID}-x",
    f"scratch folder: /tmp/cartwheel-units-{PID}-y",
    f"scratch folder: /var/tmp/cartwheel-spool-{PID}-z",
    f"scratch folder: /usr/local/lib/cartwheel/.pip/.new-{PID}-w",
    f"scratch folder: /usr/local/lib/cartwheel/.uv/.new-{PID}-w",
    "folder of a killed installer: /srv/shop/cache/pip/tmp/pip-build-env-q",
    "folder of a killed installer: /srv/shop/cache/pip/uv/builds-v0/.tmpu",
    "stray instance: cartwheel-shop.web-b.0.5.stray.service",
    "failed unit: cartwheel-session-shop-0a1b2c3d.service",
}

# Somebody's own, each of them near to a name of ours.
FOREIGN = f"""
/srv/shop/releases/notes.txt
/srv/shop/releases/backup/file
/srv/shop/releases/3.theirs/file
/srv/shop/releases/9.copy/release.json
/srv/shop/releases/.gone
/srv/shop/cache/wheels/mine/x.whl
/srv/shop/shared/.upload.cartwheel-1
/srv/shop/shared/releases/1.0.x
/srv/shop/.note.cartwheel-todo
/srv/shop/.gone-fishing/x
/etc/tmpfiles.d/.cartwheel-shop-admin_balancer.conf.cartwheel-22
/usr/local/lib/cartwheel/.gone-shop-admin/x
/srv/shop-admin/.current.cartwheel-12
/srv/shop-admin/releases/0.1.half/steps.json
/etc/nginx/conf.d/.cartwheel-shop-admin.conf.cartwheel-15
/etc/nginx/sites-enabled/.default.cartwheel-1
/etc/systemd/system/cartwheel-shop-admin.web.0.4.gone.service
/etc/systemd/system/cartwheel-shop.web.timer
/etc/systemd/system/cartwheel-shop.worker.0.4.gone.service
/etc/systemd/system/cartwheel-shop.staging.web.0.4.gone.service
/var/lib/cartwheel/.shop-admin.json.cartwheel-17
/run/cartwheel/shop-admin/0.4.gone/web
/run/cartwheel/shop/theirs
/usr/local/lib/cartwheel/shop/notes
/usr/local/lib/cartwheel/shop-admin/{OLD_HOST_SIDE}/x
/tmp/cartwheel-nginx-1-running/x
/tmp/cartwheel-notes
/tmp/pip-build-env-q/x
/var/log/cartwheel/shop/0.1.half.123.log
""".split()

_PLANT_FOREIGN = (
    "\n".join(f"mkdir -p $(dirname {path}); echo theirs > {path}" for path in FOREIGN)
    + """
echo '{"release": "8.another"}' > /srv/shop/releases/9.copy/release.json
install -d -m 0700 -o shop /tmp/cartwheel-units-99999999-not-roots
for unit in cartwheel-shop-admin.web.0.4.running cartwheel-session-shop-admin-0a1b2c3d; do
  systemd-run --quiet --unit $unit sleep 600
done
"""
)
SESSIONS = "cartwheel-session-shop-????????.service"
RUNNING = {"cartwheel-shop-admin.web.0.4.running.service"} | {
    "cartwheel-session-shop-admin-0a1b2c3d.service"
}


@pytest.fixture(scope="module")
def project(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two releases, of which the second one serves; and everything that is somebody's own."""
    project = new_project(tmp_path_factory.mktemp("shop"))
    project.fab("setup", "-H", module_host.name)
    project.fab("deploy", "-H", module_host.name)
    project.app("two")
    project.fab("deploy", "-H", module_host.name)
    module_host.sh(_PLANT_FOREIGN)
    return project


@pytest.fixture
def planted(module_host: LabHost) -> set[str]:
    """Every kind of leftover; how each is told. No session may still be leaving: it would take
    them away itself."""
    await_sessions(module_host, units=SESSIONS)
    module_host.sh(_PLANT)
    serves = current(module_host, "shop")
    return {text.replace("CURRENT", serves) for text in PLANTED}


def told(project: Project, host: LabHost, *words: str, code: int) -> list[dict[str, object]]:
    done = project.fab(*words, "-H", host.name, "--json", code=code)
    findings = json.loads(done.out.splitlines()[-1])["findings"]
    assert isinstance(findings, list)
    return findings


def leftovers(project: Project, host: LabHost, code: int) -> list[object]:
    """What `fab doctor` says is left."""
    found = told(project, host, "doctor", code=code)
    return [one["detail"] for one in found if one["what"] == "leftover"]


def assert_all_is_well(project: Project, host: LabHost, text: str, kept: str) -> None:
    """What serves, what it would fall back to, and what others own is there."""
    assert get(host) == text
    assert len(main_pids(host, "shop")) == 1
    missing = host.sh(f"ls -d {' '.join(FOREIGN)} /tmp/cartwheel-units-*-not-roots >/dev/null")
    assert missing == ""
    running = host.sh("systemctl list-units --plain --no-legend 'cartwheel-*admin*'").split()
    assert set(running) >= RUNNING
    assert host.sh(f"ls /srv/shop/releases/{kept}/release.json")
    assert host.sh("ls /srv/shop/cache/wheels/*/*.whl | wc -l") >= "2"


def test_the_doctor_lists_and_then_removes_just_that(
    project: Project, module_host: LabHost, planted: set[str]
) -> None:
    before = host_look(module_host)
    assert set(leftovers(project, module_host, Exit.OK)) == planted
    assert host_look(module_host) == before, "to look changes nothing"
    status = project.fab("status", "-H", module_host.name, "--json")
    answer = json.loads(status.out.splitlines()[-1])["hosts"][0]["answer"]
    assert set(answer["leftovers"]) == planted
    kept = module_host.sh("basename $(readlink /srv/shop/previous)").strip()
    fixed = told(project, module_host, "doctor", "--fix", code=Exit.OK)
    removed = [str(one["detail"]) for one in fixed if one["what"] == "repair"]
    assert sorted(removed) == sorted(f"removed {text}" for text in planted)
    assert leftovers(project, module_host, Exit.OK) == []
    again = told(project, module_host, "doctor", "--fix", code=Exit.OK)
    assert [one["detail"] for one in again if one["what"] == "repair"] == ["nothing to do"]
    assert_all_is_well(project, module_host, "two", kept)


def host_look(host: LabHost) -> str:
    return host.sh(
        "find /srv /etc/nginx /etc/systemd/system /tmp /var/tmp /usr/local/lib/cartwheel"
        " /var/lib/cartwheel /run/cartwheel ! -name '.lock.*' -printf '%p %C@ %l\\n' | sort"
    )


@pytest.mark.nightly
@pytest.mark.parametrize("code", ["new", "unchanged"])
def test_a_plain_deploy_removes_and_lists_them_too(
    project: Project, module_host: LabHost, planted: set[str], code: str
) -> None:
    kept = current(module_host, "shop")
    if code == "new":
        project.app("three")
    done = project.fab("deploy", "-H", module_host.name, "--json")
    lines = [json.loads(line) for line in done.out.splitlines()]
    noted = {one["detail"] for one in lines if one.get("step") == "repair"}
    assert noted >= {f"removed {text}" for text in planted - {_OLD}}
    for text in planted:
        assert code == "new" or f"[{module_host.name}] · clean up removed {text}" in done.err
    assert leftovers(project, module_host, Exit.OK) == []
    assert_all_is_well(project, module_host, "three", kept)


_OLD = f"old host side: /usr/local/lib/cartwheel/shop/{OLD_HOST_SIDE}"


@pytest.mark.nightly
def test_what_serves_and_does_not_run_is_started_by_the_repair(
    project: Project, module_host: LabHost
) -> None:
    """The doctor looks once it has started; this one takes its time."""
    project.write("app/gunicorn.conf.py", "import time\ntime.sleep(3)\n")
    project.fab("deploy", "-H", module_host.name)
    await_sessions(module_host, units=SESSIONS)  # the end of one starts what is down
    (unit,) = main_pids(module_host, "shop")
    module_host.sh(f"systemctl stop {unit}")
    assert leftovers(project, module_host, Exit.FAILED) == [f"down, and should serve: {unit}"]
    project.fab("doctor", "--fix", "-H", module_host.name)
    project.fab("start", "-H", module_host.name)
    assert get(module_host) == "three"
