"""Uninstall leaves the host as setup found it, and asks first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cartwheel_lab import LabHost
from tests.kit.certificates import certificate
from tests.kit.host import await_sessions, footprint, get
from tests.kit.project import Project, new_project
from tests.kit.terminal import on_terminal
from tests.kit.web_servers import SERVERS, Server

# Everything that setup, deploys and web servers may write to. The backups that useradd keeps of its
# own files, and what the machine itself logs meanwhile, say nothing of Cartwheel.
ROOTS = ("/etc", "/srv", "/opt", "/usr/local", "/var/lib", "/var/log", "/var/cache", "/home")
VOLATILE = ("/run/cartwheel", "/dev/shm", "/tmp", "/var/tmp")
OF_THE_MACHINE = (
    "/etc/passwd-",
    "/etc/shadow-",
    "/etc/group-",
    "/etc/gshadow-",
    "/etc/subuid-",
    "/etc/subgid-",
    "/var/lib/systemd/",
    "/var/log/journal/",
    "/var/log/wtmp",
    "/var/log/btmp",
    "/var/log/lastlog",
    "/var/log/wtmp.db",
    "/var/lib/lastlog",
    *(f"{one.logs}/{name}.log" for one in SERVERS.values() for name in ("access", "error")),
)


@pytest.fixture(scope="module")
def prepared(web_server: Server, web_host: LabHost) -> LabHost:
    """A host that has the packages already: whatever setup adds is setup's own."""
    web_host.sh(
        "apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq -y "
        f"--no-install-recommends install {web_server.package} iproute2 ca-certificates >/dev/null",
        timeout=200,
    )
    return web_host


@pytest.fixture
def shop(web_server: Server, prepared: LabHost, tmp_path: Path) -> Iterator[Project]:
    project = new_project(tmp_path, settings=web_server.web)
    yield project
    project.fab("uninstall", "--yes", "-H", prepared.name, code=None)


def state(server: Server, host: LabHost) -> dict[str, set[str]]:
    """All that uninstall has to bring back."""
    await_sessions(host)
    files = {
        line
        for line in footprint(host, *ROOTS)
        if not any(f" {path}" in line for path in OF_THE_MACHINE)
    }
    return {
        "files": files,
        "volatile": footprint(host, *VOLATILE, contents=False),
        "accounts": set(host.sh("getent passwd; getent group; getent shadow").splitlines()),
        "enabled": set(host.sh("systemctl list-unit-files --no-legend").splitlines()),
        "units": {
            " ".join(line.split()[:4])
            for line in host.sh("systemctl list-units --all --plain --no-legend").splitlines()
            if "cartwheel" in line or server.package in line
        },
        "site": {get(host)},
        "ports": {" ".join(line.split()[:5]) for line in host.sh("ss -Hltn").splitlines()},
    }


def assert_same(before: dict[str, set[str]], after: dict[str, set[str]]) -> None:
    for part, was in before.items():
        assert sorted(after[part] - was) == [], f"{part}: uninstall left this"
        assert sorted(was - after[part]) == [], f"{part}: uninstall took this"


def test_the_host_is_as_setup_found_it(
    web_server: Server, prepared: LabHost, shop: Project
) -> None:
    before = state(web_server, prepared)
    host = ("-H", prepared.name)
    shop.fab("setup", *host)
    shop.fab("deploy", *host)
    shop.app("two")
    with_https(shop)
    shop.fab("deploy", *host)
    assert get(prepared) == "two"
    assert prepared.sh("curl -sk https://127.0.0.1/") == "two", "it answers for every name"
    # What a longer life leaves: rotated logs, uploads, a release that failed, an uninstall that
    # was killed.
    log = web_server.access_log("shop")
    prepared.sh(f"cp {log} {log}.1; gzip -c {log} >{log}.2.gz")
    prepared.sh("touch /srv/shop/shared/upload /var/log/cartwheel/shop/1.0.123.log")
    halves = (
        "/srv/shop/.gone-cache",
        "/srv/shop/.gone-shared",
        "/srv/shop/.gone-tls",
        "/usr/local/lib/cartwheel/.gone-.pip",
    )
    prepared.sh(f"mkdir -p {' '.join(halves)} /var/log/cartwheel/.gone-shop/x")
    assert_differs(before, state(web_server, prepared))

    shop.fab("uninstall", "--yes", *host)

    assert_same(before, state(web_server, prepared))
    again = shop.fab("uninstall", "--yes", *host, code=1)
    assert "shop is not set up on this host" in again.err
    assert_same(before, state(web_server, prepared))


def with_https(project: Project) -> None:
    """With a certificate that signed itself."""
    issued = certificate("shop.example.org")
    project.write("shop.pem", issued.pem)
    project.write("shop.key", issued.key)
    text = (project.folder / "config/deploy.toml").read_text()
    tls = 'certificate = "shop.pem"\nkey = "shop.key"\nca = "shop.pem"\nredirect = false\n'
    project.settings(f"{text}[tls]\n{tls}")


def assert_differs(before: dict[str, set[str]], after: dict[str, set[str]]) -> None:
    """The comparison sees what setup and deploy make, in each of its parts but the ports."""
    for part in ("files", "volatile", "accounts", "enabled", "units", "site"):
        assert before[part] != after[part], part


@pytest.mark.nightly
def test_a_base_folder_that_setup_made_goes_too(
    web_server: Server, prepared: LabHost, tmp_path: Path
) -> None:
    before = state(web_server, prepared)
    project = new_project(tmp_path, settings=web_server.web + '[host]\nbase = "/apps/of/ours"\n')
    project.fab("setup", "-H", prepared.name)
    assert prepared.exec(["test", "-d", "/apps/of/ours/shop/releases"]).returncode == 0
    project.fab("uninstall", "--yes", "-H", prepared.name)
    assert prepared.exec(["test", "-e", "/apps"]).returncode == 1
    assert_same(before, state(web_server, prepared))


@pytest.mark.nightly
def test_kept_data_is_taken_over_by_a_later_setup(
    web_server: Server, prepared: LabHost, shop: Project
) -> None:
    before = state(web_server, prepared)
    host = ("-H", prepared.name)
    shop.fab("setup", *host)
    shop.fab("deploy", *host)
    prepared.sh("echo precious > /srv/shop/shared/upload; chown shop: /srv/shop/shared/upload")
    owner = prepared.sh("stat -c %u:%g:%a /srv/shop/shared /srv/shop/shared/upload")

    told = shop.fab("uninstall", "--yes", "--keep-shared", *host)
    assert "kept /srv/shop/shared" in told.out
    assert prepared.sh("ls -A /srv/shop") == "shared\n"
    assert prepared.exec(["test", "-e", "/usr/local/lib/cartwheel"]).returncode == 1
    assert get(prepared) == before["site"].copy().pop()

    shop.fab("setup", *host)
    shop.fab("deploy", *host)
    assert get(prepared) == "one"
    assert prepared.sh("cat /srv/shop/shared/upload") == "precious\n"
    assert prepared.sh("stat -c %u:%g:%a /srv/shop/shared /srv/shop/shared/upload") == owner

    shop.fab("uninstall", "--yes", "--keep-shared", *host)
    shop.fab("uninstall", "--yes", *host)  # now the data too
    assert_same(before, state(web_server, prepared))


@pytest.mark.nightly
def test_uninstall_asks_first(web_server: Server, prepared: LabHost, shop: Project) -> None:
    host = ("-H", prepared.name)
    shop.fab("setup", *host)
    before = state(web_server, prepared)

    nobody = shop.fab("uninstall", *host, code=1)
    assert "This needs a terminal to ask; use --yes." in nobody.err
    code, seen = answered(shop, ["uninstall", *host], "yes\n")
    assert (code, "Nothing was changed." in seen) == (1, True), seen
    assert f"ALL ITS DATA in shared/, from {prepared.name}?" in seen
    assert_same(before, state(web_server, prepared))

    code, seen = answered(shop, ["uninstall", *host], "shop\n")
    assert code == 0, seen
    assert prepared.exec(["test", "-e", "/srv/shop"]).returncode == 1


def answered(project: Project, words: list[str], answer: str) -> tuple[int, str]:
    """Run fab on a terminal and type `answer` when it asks; its exit code and what was shown."""
    with on_terminal(project, *words, columns=200) as terminal:
        terminal.until(lambda one: b"to continue: " in one.raw)
        terminal.type(answer)
        return terminal.end(), terminal.raw.decode()
