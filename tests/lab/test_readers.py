"""Who may read what on a host: another user nothing, nginx what it serves, the app its code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cartwheel_lab import LabHost
from tests.kit.bases import READY
from tests.kit.host import get, status
from tests.kit.project import CHECKOUT, copied_checkout, fabfile, new_project
from tests.kit.stage import Stage
from tests.kit.visitors import one_visitor
from tests.lab.conftest import GetHosts

PLACES = "/srv/shop /srv/till /usr/local/lib/cartwheel /var/lib/cartwheel /var/log /run/cartwheel"

SERVED = """
[web]
static_url = "/static/"
static_dir = "app_static/files"
server_names = ["localhost"]
"""

pytestmark = pytest.mark.nightly  # what other users may read: test_secrets.py too


def readable(host: LabHost, user: str, kind: str = "-readable", places: str = PLACES) -> set[str]:
    """The files that a user can open (what a path leads through decides too)."""
    find = f"find {places} {kind} ! -type d ! -type l -print 2>/dev/null || true"
    return set(host.sh(f"runuser -u {user} -- {find}").split("\n")) - {""}


@pytest.fixture(scope="module", params=["bookworm", "bullseye", "trixie"])
def host(
    request: pytest.FixtureRequest, hosts: GetHosts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LabHost]:
    """Two applications on one host: `shop` with files for nginx, and `till`."""
    one = hosts(1, request.param, packages=READY)[0]
    one.reset()
    one.sh("useradd --create-home mallory")
    folder = tmp_path_factory.mktemp(request.param)
    shop, till = new_project(folder / "shop"), new_project(folder / "till", name="till")
    (shop.folder / "config/deploy.toml").open("a").write(SERVED)
    shop.write("secret", "correct-horse")
    (shop.folder / "config/deploy.toml").open("a").write('[secrets]\nKEY = { file = "secret" }\n')
    shop.write("app/app_static/__init__.py", "")
    shop.write("app/app_static/private.py", "PASSWORD = 'horse'\n")
    shop.write("app/app_static/files/style.css", "a {}\n")
    (till.folder / "config/deploy.toml").open("a").write('[web]\nserver_names = ["till.test"]\n')
    for project in (shop, till):
        project.fab("setup", "-H", one.name)
        project.fab("deploy", "-H", one.name)
    shop.app("two")
    shop.fab("deploy", "-H", one.name)
    yield one
    one.reset()


def test_another_user_reads_nothing_of_an_application(host: LabHost) -> None:
    seen = readable(host, "mallory")
    assert {path for path in seen if path.startswith("/srv")} == set()
    assert {path for path in seen if path.startswith("/var/log") and "shop" in path} == set()
    assert {path for path in seen if path.startswith(("/run", "/var/lib"))} == set()
    # What any version of Cartwheel is; nothing of it is the application's.
    assert {Path(path).name for path in seen if "/cartwheel/shop" in path} >= {"recover"}


def test_another_application_reads_nothing_either(host: LabHost) -> None:
    seen = readable(host, "till")
    assert {path for path in seen if path.startswith("/srv/shop")} == set()
    assert {path for path in seen if "shop" in path and path.startswith(("/run", "/var"))} == set()
    assert any(path.startswith("/srv/till") for path in seen)


def test_nginx_reads_what_it_serves_and_no_code(host: LabHost) -> None:
    packages = host.sh("echo /srv/shop/current/venv/lib/python3*/site-packages").strip()
    names = "app.py app_static/private.py app_static/files/style.css gunicorn/app/base.py"
    paths = " ".join(f"{packages}/{name}" for name in names.split())
    # By name: nginx passes through folders that it cannot list.
    seen = host.sh(f"runuser -u www-data -- cat {paths} 2>/dev/null || true")
    assert seen == "a {}\n"
    listed = {
        path.rpartition("/")[2] for path in readable(host, "www-data", places="/srv/shop/releases")
    }
    assert listed - {"steps.json", "http.sock"} == {"maintenance.html"}
    assert get(host, "/static/style.css") == "a {}\n"
    assert status(host, "/static/../private.py") in (400, 404)
    assert get(host) == "two"


def test_the_application_reads_its_code_and_changes_only_its_own(host: LabHost) -> None:
    names = {path.rpartition("/")[2] for path in readable(host, "shop")}
    assert {"app.py", "private.py", "gunicorn.conf.py", "style.css"} <= names
    assert "env" not in names
    assert "probe.map" not in names
    writable = readable(host, "shop", "-writable", "/srv/shop")
    own = ("/srv/shop/shared/", "/srv/shop/cache/pip/")
    assert {path for path in writable if not path.startswith(own)} == set()
    modes = host.sh("find /srv/shop/releases/*/venv -type f -printf '%m %u:%g\\n' | sort | uniq -c")
    kinds = {" ".join(line.split()[1:]) for line in modes.splitlines()}
    assert kinds == {"640 root:shop", "750 root:shop", "644 root:shop"}
    # Borrowed by links, and shell and tasks run as before.
    assert "2" in host.sh(
        "stat -c %h /srv/shop/current/venv/lib/python3*/site-packages/gunicorn/app/base.py"
    )


# --- a host of an earlier version ---------------------------------------------------------

# What this version does with modes, taken out again.
EARLIER = (
    ("templates/web.service.j2", "SupplementaryGroups={{ user }}\n", ""),
    (
        "cartwheel/host/release/access.py",
        "    own, gate = children.account(user).pw_gid",
        "    return []\n    own, gate = children.account(user).pw_gid",
    ),
    ("cartwheel/host/release/access.py", "os.fchown(fd, _ROOT, gid)", "os.fchown(fd, 0, 0)"),
    ("cartwheel/host/release/access.py", "os.fchmod(fd, 0o750)", "os.fchmod(fd, 0o755)"),
    ("cartwheel/host/release/access.py", "os.chown(name, _ROOT, gid,", "os.chown(name, 0, 0,"),
    (
        "cartwheel/host/release/access.py",
        "0o750 if status.st_mode & _ANY_EXECUTE else 0o640",
        "0o755 if status.st_mode & _ANY_EXECUTE else 0o644",
    ),
    ("cartwheel/host/upkeep/setup.py", "(at.root, 0o750, 0, gate)", "(at.root, 0o755, 0, 0)"),
    (
        "cartwheel/host/upkeep/setup.py",
        "(at.cache, 0o750, 0, user.pw_gid)",
        "(at.cache, 0o755, 0, 0)",
    ),
    (
        "cartwheel/plan/making_steps.py",
        "        closed=True,\n",
        "",
    ),
    (
        "cartwheel/host/release/prepare.py",
        'mode = 0o644 if name.endswith(".html") else 0o640',
        "mode = 0o644",
    ),
)

# Reads its own code and its packages' anew for each request, as what imports late does.
LATE = """
import gunicorn.app.base

def app(environ, start_response):
    for path in (__file__, gunicorn.app.base.__file__):
        with open(path) as file:
            assert file.read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{text}"]
"""


def test_the_next_deploy_tightens_an_older_host_and_nobody_notices(
    hosts: GetHosts, tmp_path: Path
) -> None:
    host = hosts(1, "bookworm", packages=READY)[0]
    host.reset()
    host.sh("useradd --create-home mallory")
    stage = Stage(host, tmp_path / "project")
    older = copied_checkout(tmp_path / "older", EARLIER)
    (stage.folder / "fabfile.py").write_text(fabfile(older))
    for words, text in ((("setup",), "one"), (("deploy",), "one"), (("deploy",), "two")):
        stage.app(LATE.format(text=text))
        assert (done := stage.fab(*words)).code == 0, done.err
    assert any(path.endswith("/app.py") for path in readable(host, "mallory"))

    (stage.folder / "fabfile.py").write_text(fabfile(CHECKOUT))
    stage.app(LATE.format(text="three"))
    with one_visitor(host) as visitor:
        assert (done := stage.fab("deploy")).code == 0, done.err
    visitor.assert_served_by({"two", "three"})
    assert get(host) == "three"
    assert {
        one for one in readable(host, "mallory") if "shop" in one and "/lib/cart" not in one
    } == set()

    # There and back again: each can read its own code, the earlier ones by their old units.
    for word, text in (("rollback", "two"), ("restart", "two"), ("rollback", "one")):
        was = get(host)
        with one_visitor(host) as visitor:
            assert (done := stage.fab(word)).code == 0, done.err
        visitor.assert_served_by({was, text})
    assert stage.fab("deploy").code == 0
    assert get(host) == "three"
