"""Hosts, mirrors, wheels and settings that are not as they should be: one line says which,
the exit code is right, and the site that serves does not notice.

The table says how a case is arranged and what a person reads. Every case runs the real `fab`
against a host that serves, with a visitor who asks for the site all the while.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uv

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.build.indexes import make_wheel
from tests.kit import apps
from tests.kit.ports import free_port
from tests.kit.stage import Stage
from tests.kit.tiers import tiered
from tests.lab.conftest import GetHosts
from tests.lab.mirror import Mirror, gunicorn_wheels, metadata_of, served

pytestmark = pytest.mark.timeout(600)

Settings = Mapping[str, Mapping[str, Any]]
# Puts something wrong, yields further settings that the case needs, fixes it again.
Arrange = Callable[["Scenery"], AbstractContextManager[Settings]]

# Small enough to fill, large enough for some releases.
DISK_MB, INODES = 120, 24_000
FREE_MB, FREE_INODES = 70, 5_600  # just more than a deploy asks for before it begins


UV: Settings = {"deploy": {"installer": "uv"}}


@dataclass(frozen=True)
class Scenery:
    stage: Stage
    mirror: Mirror
    wheels: Path

    @property
    def host(self) -> LabHost:
        return self.stage.host


@dataclass(frozen=True)
class Wrong:
    """One thing that is not as it should be. `says` is in the one line."""

    name: str
    slug: str
    says: tuple[str, ...]
    arrange: Arrange = lambda _scenery: nullcontext({})
    code: Exit = Exit.FAILED
    settings: Settings = field(default_factory=dict)
    words: tuple[str, ...] = ("deploy",)
    journalled: bool = False  # the host was changed and put back
    early: bool = False  # found before connecting


# -- arrangements: disks


@contextmanager
def little_room(scenery: Scenery) -> Iterator[Settings]:
    """Less than a deploy asks for before it begins."""
    with _ballast(scenery, megabytes=40):
        yield {}


@contextmanager
def room_for_the_upload_only(scenery: Scenery) -> Iterator[Settings]:
    with _ballast(scenery, megabytes=FREE_MB):
        _add_data(scenery, megabytes=FREE_MB * 2 // 3)
        yield {}


@contextmanager
def no_room_for_the_upload(scenery: Scenery) -> Iterator[Settings]:
    with _ballast(scenery, megabytes=FREE_MB):
        _add_data(scenery, megabytes=FREE_MB + 5)
        yield {}


@contextmanager
def few_inodes(scenery: Scenery) -> Iterator[Settings]:
    with _inode_ballast(scenery, 3000):
        yield {}


@contextmanager
def too_few_inodes_for_the_packages(scenery: Scenery) -> Iterator[Settings]:
    with _inode_ballast(scenery, FREE_INODES):
        data = scenery.stage.folder / "app" / "data"
        data.mkdir(exist_ok=True)
        for number in range(FREE_INODES + 100):
            (data / f"{number}.txt").touch()
        yield {}


@contextmanager
def _ballast(scenery: Scenery, *, megabytes: int) -> Iterator[None]:
    """Leave so much room on the file system of /srv."""
    scenery.host.sh(
        "free=$(df --output=avail -BM /srv | tail -1 | tr -dc 0-9); "
        f"fallocate -l $((free - {megabytes}))M /srv/ballast"
    )
    try:
        yield
    finally:
        scenery.host.sh("rm /srv/ballast")


@contextmanager
def _inode_ballast(scenery: Scenery, inodes: int) -> Iterator[None]:
    scenery.host.sh(
        f"mkdir /srv/ballast; free=$(df --output=iavail /srv | tail -1); "
        f"cd /srv/ballast; seq $((free - {inodes})) | xargs touch"
    )
    try:
        yield
    finally:
        scenery.host.sh("rm -r /srv/ballast")


def _add_data(scenery: Scenery, *, megabytes: int) -> None:
    """Make the application carry so much that cannot be compressed."""
    (scenery.stage.folder / "app" / "data.bin").write_bytes(os.urandom(megabytes << 20))


# -- arrangements: mirrors


@contextmanager
def mirror_away(scenery: Scenery) -> Iterator[Settings]:
    """The host's index does not answer, the operator's does; no older release has the package."""
    scenery.host.network(services=False)
    try:
        yield {"app": {"requirements": ["itsdangerous==2.2.0"]}}
    finally:
        scenery.host.network(services=True)


@contextmanager
def dead_mirror(_scenery: Scenery) -> Iterator[Settings]:
    yield {"index": {"url": f"http://127.0.0.1:{free_port()}/simple", "timeout_seconds": 1}}


def _needs(scenery: Scenery, requirement: str) -> Settings:
    return {
        "app": {"requirements": [requirement]},
        "index": {"url": scenery.mirror.url, "timeout_seconds": 3},
    }


@contextmanager
def unknown_package(scenery: Scenery) -> Iterator[Settings]:
    yield _needs(scenery, "nosuch==1.0")


@contextmanager
def package_gone_from_mirror(scenery: Scenery) -> Iterator[Settings]:
    wheel = make_wheel(scenery.wheels, "fleeting", "1.0")
    scenery.mirror.offer(wheel, scenery.mirror.here)
    yield _needs(scenery, "fleeting==1.0")


@contextmanager
def other_bytes_on_mirror(scenery: Scenery) -> Iterator[Settings]:
    """Between lock and install the mirror changes a wheel's bytes."""
    wheel = make_wheel(scenery.wheels, "changing", "1.0")
    scenery.mirror.offer(wheel, scenery.mirror.here)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("changing/more.py", "# not what was locked\n")
    scenery.mirror.offer(wheel, scenery.mirror.there)
    yield _needs(scenery, "changing==1.0")


@contextmanager
def other_bytes_under_the_old_digest(scenery: Scenery) -> Iterator[Settings]:
    """The same, but the mirror's page still claims the old digest."""
    import hashlib

    wheel = make_wheel(scenery.wheels, "lying", "1.0")
    scenery.mirror.offer(wheel, scenery.mirror.here)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("lying/more.py", "# not what was locked\n")
    scenery.mirror.offer(wheel, scenery.mirror.there, claimed=digest)
    yield _needs(scenery, "lying==1.0")


@contextmanager
def corrupt_on_mirror(scenery: Scenery) -> Iterator[Settings]:
    """A damaged wheel with the right digest: the mirror took it in like that."""
    wheel = make_wheel(scenery.wheels, "broken", "1.0")
    about = metadata_of(wheel)
    wheel.write_bytes(wheel.read_bytes()[:-60])
    scenery.mirror.offer(wheel, metadata=about)
    yield _needs(scenery, "broken==1.0")


@contextmanager
def dependency_not_told(scenery: Scenery) -> Iterator[Settings]:
    """What the mirror says of a wheel leaves out a dependency that the wheel has."""
    wheel = make_wheel(scenery.wheels, "secretive", "1.0", ("hidden>=2",))
    about = b"".join(
        line for line in metadata_of(wheel).splitlines(True) if not line.startswith(b"Requires-")
    )
    scenery.mirror.offer(wheel, metadata=about)
    yield _needs(scenery, "secretive==1.0")


# -- arrangements: wheels


def _own_wheel(scenery: Scenery, filename: str = "") -> Path:
    wheel = make_wheel(scenery.wheels, "shop", "9.0")
    target = scenery.stage.folder / (filename or wheel.name)
    target.write_bytes(wheel.read_bytes())
    return target


@contextmanager
def truncated_wheel(scenery: Scenery) -> Iterator[Settings]:
    wheel = _own_wheel(scenery)
    wheel.write_bytes(wheel.read_bytes()[:-80])
    yield {"app": {"source": wheel.name, "entry": "shop:app"}}


@contextmanager
def wheel_with_a_wrong_byte(scenery: Scenery) -> Iterator[Settings]:
    """A whole zip file, but one file is not what the wheel's RECORD says."""
    wheel = _own_wheel(scenery)
    with zipfile.ZipFile(wheel) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data.replace(b"VERSION = ", b"vERSION = "))
    yield {"app": {"source": wheel.name, "entry": "shop:app"}}


def wheel_for(tag: str) -> Arrange:
    @contextmanager
    def arrange(scenery: Scenery) -> Iterator[Settings]:
        wheel = _own_wheel(scenery, f"shop-9.0-{tag}.whl")
        with zipfile.ZipFile(wheel) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        from cartwheel.build.wheel import write_wheel

        about = next(name for name in parts if name.endswith("/WHEEL"))
        parts[about] = (
            parts[about].replace(b"py3-none-any", tag.encode()).replace(b"true", b"false")
        )
        parts["shop/__init__.py"] += b"app = print\n"
        info = about.split("/")[0]
        files = {n: (data, False) for n, data in parts.items() if not n.endswith("/RECORD")}
        write_wheel(wheel, files, info)
        yield {"app": {"source": wheel.name, "entry": "shop:app"}}

    return arrange


# -- arrangements: ports and sites


@contextmanager
def port_held(scenery: Scenery) -> Iterator[Settings]:
    host = scenery.host
    host.sh("systemd-run --quiet --unit=foreign python3 -m http.server 8080")
    host.sh(
        "for n in $(seq 100); do curl -s localhost:8080 >/dev/null && exit 0;"
        " sleep 0.1; done; exit 1"
    )
    try:
        yield {"web": {"listen": 8080}}
    finally:
        host.sh("systemctl stop foreign")


@contextmanager
def name_held(scenery: Scenery) -> Iterator[Settings]:
    site = "server { listen 80; server_name shop.example.org; return 204; }"
    with _site(scenery, "foreign", site):
        yield {"web": {"server_names": ["shop.example.org"]}}


@contextmanager
def second_app(scenery: Scenery) -> Iterator[Settings]:
    scenery.stage.configure(app={"name": "second"})
    done = scenery.stage.fab("setup")
    assert done.code == 0, done.err
    yield {"app": {"name": "second"}}


@contextmanager
def nginx_broken_before(scenery: Scenery) -> Iterator[Settings]:
    with _site(scenery, "old", "server { lissen 80; }", reload=False):
        yield {"web": {"client_max_body_size": "11m"}}


@contextmanager
def nginx_masked(scenery: Scenery) -> Iterator[Settings]:
    scenery.host.sh("systemctl mask -q --now nginx")
    try:
        yield {}
    finally:
        scenery.host.sh("systemctl unmask -q nginx; systemctl start nginx")


@contextmanager
def nginx_without_sites(scenery: Scenery) -> Iterator[Settings]:
    main = "/etc/nginx/nginx.conf"
    scenery.host.sh(f"sed -i.old 's|include /etc/nginx/conf.d|#&|' {main}")
    try:
        yield {}
    finally:
        scenery.host.sh(f"mv {main}.old {main}")


@contextmanager
def nginx_refuses(scenery: Scenery) -> Iterator[Settings]:
    """The project's own template of the site, with a directive that nginx does not know."""
    text = Path("templates/nginx-site.conf.j2").read_text()
    with _template(scenery, "nginx-site.conf.j2", text.replace("server_tokens off", "tokens off")):
        yield {}


@contextmanager
def _site(scenery: Scenery, name: str, text: str, *, reload: bool = True) -> Iterator[None]:
    path = f"/etc/nginx/conf.d/{name}.conf"
    scenery.host.path(path).write_text(text)
    try:
        if reload:
            scenery.host.sh("nginx -t -q && systemctl reload nginx")
        yield
    finally:
        scenery.host.sh(f"rm {path}; systemctl reload-or-restart nginx")


# -- arrangements: settings and templates


@contextmanager
def _template(scenery: Scenery, name: str, text: str) -> Iterator[None]:
    path = scenery.stage.folder / "templates" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    try:
        yield
    finally:
        path.unlink()


@contextmanager
def template_with_an_unknown_name(scenery: Scenery) -> Iterator[Settings]:
    text = "[Unit]\nDescription={{ app }}\n[Service]\nUser={{ usr }}\n"
    with _template(scenery, "web.service.j2", text):
        yield {}


@contextmanager
def template_with_bad_syntax(scenery: Scenery) -> Iterator[Settings]:
    with _template(scenery, "web.service.j2", "[Unit]\n{% if app %}\n"):
        yield {}


@contextmanager
def unit_that_systemd_refuses(scenery: Scenery) -> Iterator[Settings]:
    text = Path("templates/web.service.j2").read_text()
    wrong = text.replace("Type=notify", "Type=notify\nExecStartPre=relative/path")
    with _template(scenery, "web.service.j2", wrong):
        yield {}


def broken_toml(line: str) -> Arrange:
    @contextmanager
    def arrange(scenery: Scenery) -> Iterator[Settings]:
        path = scenery.stage.folder / "config" / "environments" / "live.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# live\n{line}\n")
        try:
            yield {}
        finally:
            path.unlink()

    return arrange


@contextmanager
def missing_secret(_scenery: Scenery) -> Iterator[Settings]:
    yield {"secrets": {"TOKEN": {"file": "no/such/file"}}}


# -- arrangements: setup and state


@contextmanager
def foreign_folder(scenery: Scenery) -> Iterator[Settings]:
    scenery.host.sh("mkdir /srv/theirs; echo precious > /srv/theirs/data")
    try:
        yield {"app": {"name": "theirs"}}
        assert scenery.host.sh("cat /srv/theirs/data") == "precious\n"
    finally:
        scenery.host.sh("rm -r /srv/theirs")


@contextmanager
def foreign_user(scenery: Scenery) -> Iterator[Settings]:
    scenery.host.sh("useradd --system nora")
    try:
        yield {"app": {"name": "third", "user": "nora"}}
    finally:
        scenery.host.sh("userdel nora")


CASES = [
    # the host's disk
    Wrong("little-room", "disk-full", ("/srv has", "MB left"), little_room),
    Wrong(
        "full-at-the-upload",
        "disk-full",
        ("no space left for shop-0.0.0+g", f"of {FREE_MB + 5} MB", "/srv has"),
        no_room_for_the_upload,
        journalled=True,
    ),
    Wrong(
        "full-at-the-install",
        "disk-full",
        ("no space left for the packages", "/srv has"),
        room_for_the_upload_only,
        journalled=True,
    ),
    Wrong("few-inodes", "disk-full", ("/srv has", "inodes left"), few_inodes),
    Wrong(
        "no-inodes-at-the-install",
        "disk-full",
        ("no space left for the packages", "inodes free"),
        too_few_inodes_for_the_packages,
        journalled=True,
    ),
    # mirrors
    Wrong(
        "mirror-does-not-answer-the-host",
        "index-unreachable",
        ("http://127.0.0.1:3141", "does not answer for"),
        mirror_away,
        journalled=True,
    ),
    Wrong("mirror-does-not-answer", "index-unreachable", ("http://127.0.0.1:",), dead_mirror),
    Wrong(
        "mirror-lacks-a-package", "index-lacks", ("nosuch", "http://127.0.0.1:"), unknown_package
    ),
    Wrong(
        "mirror-lacks-it-on-the-host",
        "index-lacks",
        ("fleeting==1.0", "http://127.0.0.1:"),
        package_gone_from_mirror,
        journalled=True,
    ),
    Wrong(
        "wrong-hash",
        "hash-mismatch",
        ("changing==1.0", "http://127.0.0.1:"),
        other_bytes_on_mirror,
        journalled=True,
    ),
    Wrong(
        "wrong-hash-under-the-old-digest",
        "hash-mismatch",
        ("lying==1.0", "http://127.0.0.1:"),
        other_bytes_under_the_old_digest,
        journalled=True,
    ),
    Wrong(
        "corrupt-wheel-on-the-mirror",
        "wheel-corrupt",
        ("broken",),
        corrupt_on_mirror,
        journalled=True,
    ),
    Wrong(
        "dependency-that-the-mirror-keeps-quiet",
        "dependency-missing",
        ("secretive 1.0 requires hidden",),
        dependency_not_told,
        journalled=True,
    ),
    # the same with uv
    *(
        Wrong(f"uv-{name}", slug, says, arrange, settings=UV, journalled=True)
        for name, slug, says, arrange in (
            ("no-room", "disk-full", ("no space left for the packages",), room_for_the_upload_only),
            (
                "mirror-does-not-answer-the-host",
                "index-unreachable",
                ("http://127.0.0.1:3141/simple/ does not answer (connection refused) for",),
                mirror_away,
            ),
            ("mirror-lacks-it", "index-lacks", ("127.0.0.1:", "has no "), package_gone_from_mirror),
            ("wrong-hash", "hash-mismatch", ("changing==1.0", "127.0.0.1:"), other_bytes_on_mirror),
            ("corrupt-wheel", "wheel-corrupt", ("broken",), corrupt_on_mirror),
            (
                "dependency",
                "dependency-missing",
                ("secretive requires hidden>=2, but it's not installed",),
                dependency_not_told,
            ),
        )
    ),
    # the wheel
    Wrong("truncated-wheel", "wheel-corrupt", ("shop-9.0-py3-none-any.whl",), truncated_wheel),
    Wrong(
        "wheel-with-a-wrong-byte",
        "wheel-corrupt",
        ("shop-9.0-py3-none-any.whl", "shop/__init__.py"),
        wheel_with_a_wrong_byte,
    ),
    Wrong(
        "wheel-for-windows",
        "wheel-platform",
        ("shop-9.0-cp39-cp39-win_amd64.whl", "Python 3.11"),
        wheel_for("cp39-cp39-win_amd64"),
    ),
    Wrong(
        "wheel-for-arm",
        "wheel-platform",
        ("shop-9.0-cp311-cp311-manylinux_2_17_aarch64.whl", "x86_64"),
        wheel_for("cp311-cp311-manylinux_2_17_aarch64"),
    ),
    # the web server
    Wrong("port-held", "port-taken", ("8080", "python3"), port_held),
    Wrong(
        "server-name-held",
        "server-name-taken",
        ("shop.example.org", "/etc/nginx/conf.d/foreign.conf"),
        name_held,
    ),
    Wrong(
        "second-app-without-a-name",
        "server-name-needed",
        ("web.server_names", "/etc/nginx/conf.d/cartwheel-shop.conf"),
        second_app,
    ),
    Wrong(
        "nginx-broken-before",
        "nginx-broken",
        ('unknown directive "lissen"', "/etc/nginx/conf.d/old.conf:1"),
        nginx_broken_before,
        journalled=True,
    ),
    Wrong("nginx-without-sites", "site-unread", ("/etc/nginx/conf.d",), nginx_without_sites),
    Wrong(
        "site-that-nginx-refuses",
        "nginx-refuses",
        ('unknown directive "tokens"', "/etc/nginx/conf.d/cartwheel-shop.conf:"),
        nginx_refuses,
        journalled=True,
    ),
    Wrong(
        "unit-that-systemd-refuses",
        "unit-refused",
        ("relative/path",),
        unit_that_systemd_refuses,
        journalled=True,
    ),
    # settings and templates: before connecting
    Wrong(
        "template-with-an-unknown-name",
        "template",
        ("templates/web.service.j2:4", "usr"),
        template_with_an_unknown_name,
        Exit.USAGE,
        early=True,
    ),
    Wrong(
        "template-with-bad-syntax",
        "template",
        ("templates/web.service.j2:",),
        template_with_bad_syntax,
        Exit.USAGE,
        early=True,
    ),
    Wrong(
        "broken-toml",
        "settings",
        ("config/environments/live.toml:2",),
        broken_toml("[web"),
        Exit.USAGE,
        words=("deploy", "--env", "live"),
        early=True,
    ),
    Wrong(
        "unknown-key",
        "settings",
        ("config/environments/live.toml:2", "wbe", "web"),
        broken_toml("wbe.listen = 81"),
        Exit.USAGE,
        words=("deploy", "--env", "live"),
        early=True,
    ),
    Wrong(
        "missing-secret",
        "secret",
        ("TOKEN", "no/such/file"),
        missing_secret,
        Exit.USAGE,
        early=True,
    ),
    # setup and state
    Wrong(
        "not-set-up",
        "not-set-up",
        ("the host is not set up for fourth",),
        settings={"app": {"name": "fourth"}, "web": {"server_names": ["four.example.org"]}},
    ),
    Wrong("foreign-folder", "not-ours", ("/srv/theirs",), foreign_folder, words=("setup",)),
    Wrong("foreign-user", "not-ours", ("the user nora",), foreign_user, words=("setup",)),
    Wrong(
        "python-that-is-not-there",
        "python-version",
        ("there is no Python 3.7",),
        settings={"app": {"python": "3.7"}},
    ),
    Wrong(
        "python-that-cannot-be-had",
        "python-version",
        ("Python 3.7", "cannot be installed"),
        settings={"app": {"python": "3.7"}},
        words=("setup",),
    ),
    Wrong(
        "package-that-cannot-be-had",
        "packages",
        ("no-such-package",),
        settings={"host": {"packages": ["no-such-package"]}},
        words=("setup",),
    ),
]


@pytest.fixture(scope="module")
def scenery(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenery]:
    """A host with a small disk for its applications, one of which serves; and a mirror."""
    folder = tmp_path_factory.mktemp("failures")
    stage = Stage(module_host, folder / "project")
    module_host.sh(f"mount -t tmpfs -o size={DISK_MB}m,nr_inodes={INODES} tmpfs /srv")
    stage.next_version()
    done = stage.fab("setup")
    assert done.code == 0, done.out + done.err
    stage.deploy_well()
    program = module_host.path("/usr/local/bin/uv")
    program.write_bytes(Path(uv.find_uv_bin()).read_bytes())
    program.chmod(0o755)
    wheels = folder / "wheels"
    with served(module_host, folder / "mirror") as mirror:
        for wheel in gunicorn_wheels(wheels):
            mirror.offer(wheel)
        yield Scenery(stage, mirror, wheels)


# The same refusal, told apart by unit tests: of another platform, with another claim.
SWEPT = {
    "wheel-for-arm",
    "wrong-hash-under-the-old-digest",
    "no-inodes-at-the-install",
    "few-inodes",
    # With uv as with pip.
    "uv-no-room",
    "uv-mirror-does-not-answer-the-host",
    "uv-mirror-lacks-it",
    "uv-corrupt-wheel",
    "uv-dependency",
    # As other wheels, templates and interpreters.
    "wheel-with-a-wrong-byte",
    "corrupt-wheel-on-the-mirror",
    "template-with-bad-syntax",
    "python-that-cannot-be-had",
    "mirror-does-not-answer-the-host",
    "mirror-lacks-it-on-the-host",
    "wrong-hash",
    "dependency-that-the-mirror-keeps-quiet",
    "truncated-wheel",
    # Told before anything is done, as their neighbours are.
    "full-at-the-upload",
    "second-app-without-a-name",
    "nginx-without-sites",
    "port-held",
    "wheel-for-windows",
    "mirror-lacks-a-package",
    "foreign-user",
    "unknown-key",
    "missing-secret",
    "package-that-cannot-be-had",
    "uv-wrong-hash",
    "unit-that-systemd-refuses",
    "site-that-nginx-refuses",
}


@pytest.mark.parametrize("wrong", tiered(CASES, nightly=SWEPT), ids=lambda wrong: wrong.name)
def test_what_is_wrong_is_told_and_changes_nothing(scenery: Scenery, wrong: Wrong) -> None:
    stage = scenery.stage
    stage.app(apps.plain(wrong.name))
    stage.configure(**wrong.settings)
    with wrong.arrange(scenery) as further:
        stage.configure(**wrong.settings, **further)
        if wrong.early:  # nobody is asked: the line drops everything in silence
            scenery.host.black_hole()
        try:
            attempt = stage.attempt(*wrong.words)
        finally:
            scenery.host.restore()
    attempt.assert_told(wrong.slug, wrong.code, wrong.says)
    attempt.assert_untouched()
    if wrong.early:
        assert attempt.seconds < 9, "the time limit of connecting is 10 s"
    assert [line["result"] for line in attempt.new_lines] == ["failed"] * wrong.journalled
    stage.forget_data()


@pytest.mark.nightly
def test_the_next_deploy_works_after_all_that(scenery: Scenery) -> None:
    scenery.stage.deploy_well()


@pytest.mark.nightly
def test_a_stopped_app_stays_stopped(scenery: Scenery) -> None:
    stage = scenery.stage
    stage.configure()
    assert stage.fab("stop", "--message", "moving house").code == 0
    stage.next_version()
    attempt = stage.fab("deploy")
    attempt.assert_told("stopped", Exit.LOCKED, ("stopped by", "since", "moving house"))
    attempt.assert_untouched()
    assert attempt.new_lines == []
    assert stage.fab("start").code == 0
    stage.deploy_well()


def test_a_broken_nginx_does_not_matter_where_its_files_do_not_change(scenery: Scenery) -> None:
    """The switch is a rename: nginx reads nothing anew."""
    stage = scenery.stage
    stage.configure()
    with _site(scenery, "old", "server { lissen 80; }", reload=False):
        version = stage.next_version()
        attempt = stage.fab("deploy")
        assert stage.body() == version
    assert attempt.code == 0, attempt.err
    # But somebody has to know before the next reboot.
    assert 'broken: unknown directive "lissen" in /etc/nginx/conf.d/old.conf:1' in attempt.out


@pytest.mark.nightly
def test_a_deploy_starts_a_web_server_that_somebody_stopped(scenery: Scenery) -> None:
    stage = scenery.stage
    stage.configure()
    scenery.host.sh("systemctl stop nginx")
    assert stage.run("plan", "-H", stage.host.name).code == 0
    stage.deploy_well()
    with nginx_masked(scenery):  # nothing starts this one
        stage.next_version()
        attempt = stage.fab("deploy")
        attempt.assert_told("web-server-masked", Exit.FAILED, ("nginx", "masked"))
        attempt.assert_untouched()
    scenery.host.sh("systemctl stop nginx")
    with _site(scenery, "old", "server { lissen 80; }", reload=False):  # nor does it start so
        attempt = stage.fab("deploy")
        attempt.assert_told("nginx-broken", Exit.FAILED, ("/etc/nginx/conf.d/old.conf:1",))
    scenery.host.sh("systemctl stop nginx; nginx")  # by hand: systemd's own cannot start beside it
    attempt = stage.fab("nginx.reload")
    attempt.assert_told("web-server-down", Exit.FAILED, ("nginx does not start", "in use"))
    assert "stop it on" in stage.fab("status").err
    scenery.host.sh(
        "pkill -x nginx; while pgrep -x nginx; do sleep 0.1; done; systemctl reset-failed nginx"
    )
    stage.deploy_well()


RELOADS = """
import http.client, pathlib, sys
sys.path.insert(0, "/usr/local/lib/cartwheel/shop/current")
from cartwheel.host.web import configuration, kinds
site = pathlib.Path("/etc/nginx/conf.d/reloads.conf")
wrong = 0
for number in range(20):
    site.write_text("server { listen 8099; location / { return 200 '%d'; } }" % number)
    configuration.reload(None, kinds.named("nginx"))
    for _ in range(50):
        line = http.client.HTTPConnection("127.0.0.1", 8099, timeout=5)
        line.request("GET", "/")
        wrong += line.getresponse().read() != str(number).encode()
        line.close()
site.unlink()
configuration.reload(None, kinds.named("nginx"))
print(wrong)
"""


def test_after_a_reload_no_old_worker_answers(scenery: Scenery) -> None:
    """nginx's own reload only asks for it: its old workers take connections for a while."""
    done = scenery.host.exec(["python3", "-c", RELOADS])
    assert done.stdout.decode().strip() == "0", done.stderr.decode()


@pytest.mark.nightly
def test_a_host_without_python(hosts: GetHosts, tmp_path: Path) -> None:
    """A deploy says what to do, and does nothing; setup then brings Python."""
    (host,) = hosts(python=False)
    host.reset()
    stage = Stage(host, tmp_path)
    stage.next_version()
    attempt = stage.fab("deploy")
    attempt.assert_told("no-python", Exit.FAILED, ("there is no python3",))
    assert f"fab setup -H {host.name}" in attempt.err or "fab setup -H HOST" in attempt.err
    attempt.assert_untouched()
    done = stage.fab("setup")
    assert done.code == 0, done.out + done.err
    stage.deploy_well()
