"""examples/notes on a real host, from `config.init` on: admin, static files, uploads, HTTPS."""

from __future__ import annotations

import operator
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from cartwheel_lab import LabHost
from tests.kit import postgres
from tests.kit.bases import READY
from tests.kit.browser import Browser, browser
from tests.kit.certificates import authority, certificate
from tests.kit.person import Person
from tests.kit.project import CHECKOUT, Project
from tests.kit.shared_folder import share
from tests.kit.waiting import until
from tests.kit.web_servers import NGINX, Server
from tests.lab.conftest import GetHosts

pytestmark = pytest.mark.timeout(300)

NAME = "notes.example.org"
ROOT = authority()
LEAF = certificate(NAME, by=ROOT)
QUICK = """
[tls]
certificate = "tls/notes.pem"
key = "tls/notes.key"
ca = "tls/root.pem"
"""
PASSWORD = "a long one for the test"
CREATE = (
    f"cd \"$CARTWHEEL_CODE\" && DJANGO_SUPERUSER_PASSWORD='{PASSWORD}'"
    " python manage.py createsuperuser --noinput --username ann --email ann@example.org"
)
PEERS = 3143  # inside a lab host: the web servers of the others
PICTURE = bytes.fromhex(  # a PNG of one green pixel
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49"
    "444154789c63e009b10100010c009dd618b16c0000000049454e44ae426082"
)


@dataclass(frozen=True)
class Site:
    """The example on a host, maybe below a path of its site."""

    project: Project
    host: LabHost
    server: Server = NGINX
    below: str = ""

    @property
    def place(self) -> tuple[str, int]:
        return self.host.address, self.host.https_port

    def person(self) -> Person:
        return Person(NAME, self.place, ROOT.pem)

    def fab(self, *words: str) -> str:
        return self.project.fab(*words, "-H", self.host.name).text

    def served_by(self, path: str) -> str:
        """Who answered the last request for `path`: `-` is the web server itself."""
        script = f"grep -F '{path}' {self.server.access_log('notes')} ||:"
        lines = until(lambda: self.host.sh(script).splitlines())  # it is logged after the answer
        found = re.search(r'upstream="([^"]*)"', lines[-1])
        assert found, lines[-1]
        return found[1]


def begun(folder: Path, *changes: tuple[str, str, str], server: Server = NGINX) -> Project:
    """The example's sources, with `changes` (file, text, new text), and what `config.init` writes
    for them."""
    ours = shutil.ignore_patterns(
        "__pycache__", "cartwheel.toml", "deploy_settings.py", "*.sqlite3"
    )
    shutil.copytree(CHECKOUT / "examples/notes", folder / "notes", ignore=ours)
    elsewhere = {
        "PYTHONPATH": str(CHECKOUT),
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CACHE_HOME": str(Path.home() / ".cache"),
        "HOME": str(folder / "home"),
    }
    project = Project(folder / "notes", elsewhere)
    for name, old, new in changes:
        text = (project.folder / name).read_text()
        assert old in text, old
        (project.folder / name).write_text(text.replace(old, new))
    project.cartwheel("config.init", "--server-name", NAME)
    for name, text in {
        "notes.pem": LEAF.pem,
        "notes.key": LEAF.key,
        "root.pem": ROOT.pem,
    }.items():
        project.write(f"tls/{name}", text)
    settings = (project.folder / "cartwheel.toml").read_text()
    settings = settings.replace("http://", "https://").replace(
        "[deploy]\n", "[deploy]\ndrain_seconds = 2\nprobation_seconds = 0.5\n"
    )
    settings = settings.replace("[web]\n", server.web)
    (project.folder / "cartwheel.toml").write_text(settings + QUICK)
    return project


@pytest.fixture(scope="module")
def site(
    web_server: Server, web_host: LabHost, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    site = Site(begun(tmp_path_factory.mktemp("django"), server=web_server), web_host, web_server)
    site.fab("setup")
    site.fab("deploy", "--skip-tests")
    site.fab("run", "--command", CREATE)
    yield site


def test_admin_upload_and_login_over_https(site: Site) -> None:
    admin_upload_and_login(site)


def admin_upload_and_login(site: Site) -> None:
    ann, below = site.person(), site.below
    page = ann.get(f"{below}/admin/")
    assert page.path == f"{below}/admin/login/"
    [css] = re.findall(rf'href="({below}/static/admin/css/base\.[0-9a-f]{{12}}\.css)"', page.text)
    sheet = ann.get(css)
    assert sheet.status == 200
    assert "immutable" in sheet.headers["Cache-Control"]
    assert site.served_by(css) == "-"

    login = {"username": "ann", "password": PASSWORD, "next": f"{below}/admin/"}
    inside = ann.submit(f"{below}/admin/login/", login)
    assert (inside.status, inside.path) == (200, f"{below}/admin/")
    assert {one.name: one.secure for one in ann.cookies} == {"csrftoken": True, "sessionid": True}

    fields = {"title": "A picture", "text": "green"}
    listed = ann.submit(f"{below}/write/", fields, ("file", "dot.png", PICTURE))
    assert (listed.status, listed.path) == (200, f"{below}/")
    assert "Welcome" in listed.text
    [url] = re.findall(rf'class="file" href="({below}/media/notes/\d{{4}}/dot\.png)"', listed.text)
    picture = ann.get(url)
    assert (picture.status, picture.body) == (200, PICTURE)
    assert picture.headers["Content-Type"] == "image/png"
    assert picture.headers["X-Content-Type-Options"] == "nosniff"
    assert site.served_by(url) == "-"
    assert (
        site.person().post(f"{below}/write/", fields, origin="https://evil.example").status == 403
    )

    # The next release has the same users, notes and files.
    style = site.project.folder / "notes/static/notes/notes.css"
    style.write_text(style.read_text() + "\np { color: navy; }\n")
    site.fab("deploy", "--skip-tests")
    assert ann.get(f"{below}/admin/").path == f"{below}/admin/", "still logged in"
    assert ann.get(f"{below}/").text.count("Welcome") == 1
    assert ann.get(url).body == PICTURE
    assert ann.get(css).status == 200
    assert ann.submit(f"{below}/", {}, action=f"{below}/accounts/logout/").path == f"{below}/"
    assert ann.get(f"{below}/write/").path == f"{below}/accounts/login/"


def story(window: Browser, url: str, picture: Path) -> None:
    """Log in to the admin, upload a picture, see it, log out; the console says nothing."""
    window.open(f"{url}/admin/")
    assert window.style("#header", "background-color") != "rgba(0, 0, 0, 0)", "no CSS"
    window.type("#id_username", "ann")
    window.type("#id_password", PASSWORD)
    window.press("input[type=submit]")
    assert "Site administration" in window.text
    assert all(window.cookies.values())
    window.press("a.addlink[href='/admin/notes/note/add/']")
    window.type("#id_title", "From the admin")
    window.type("#id_file", str(picture))
    window.press("input[name=_save]")
    assert "was added successfully" in window.text

    window.open(url)
    assert window.style("h1 a", "color") == "rgba(12, 84, 60, 1)"
    window.press("a[href='/write/']")
    window.type("#id_title", "From the site")
    window.type("#id_file", str(picture))
    window.press("#save")
    assert "From the site" in window.text
    window.press("a.file")
    assert window.find("img").get_property("naturalWidth") == 1
    window.open(url)
    window.press("#log-out")
    window.open(f"{url}/write/")
    assert window.find("#log-in").is_displayed()
    assert window.complaints() == []


@pytest.mark.nightly
def test_the_same_in_a_browser(site: Site, tmp_path: Path) -> None:
    picture = tmp_path / "pixel.png"
    picture.write_bytes(PICTURE)
    address, port = site.place
    with browser({f"{NAME}:443": f"{address}:{port}"}, LEAF) as window:
        story(window, f"https://{NAME}", picture)


@pytest.mark.nightly
@pytest.mark.parametrize(("suite", "version"), [("bullseye", "4.2"), ("trixie", "5.2")])
def test_each_python_gets_its_django(
    suite: str, version: str, hosts: GetHosts, tmp_path: Path
) -> None:
    """Debian 11 has Python 3.9, which Django 4.2 is the last to run on."""
    [host] = hosts(suite=suite)
    host.reset()
    site = Site(begun(tmp_path), host)
    site.fab("setup")
    site.fab("deploy", "--skip-tests")
    asked = 'cd "$CARTWHEEL_CODE" && python manage.py version'
    assert re.search(rf"^{re.escape(version)}\.\d+$", site.fab("run", "--command", asked), re.M)
    page = site.person().get("/admin/")
    [css] = re.findall(r'href="(/static/admin/css/base\.[0-9a-f]{12}\.css)"', page.text)
    assert site.person().get(css).status == 200
    assert "Welcome" in site.person().get("/").text


BALANCED = """
[balancer]
kind = "nginx"
drain_seconds = 4
"""


def balanced(project: Project, hosts: Sequence[LabHost]) -> None:
    """The last of the hosts is the balancer of the others."""
    tables = [
        f'[inventory.hosts.{one.name}]\ninner_address = "{one.address}:{PEERS}"' for one in hosts
    ]
    with (project.folder / "cartwheel.toml").open("a") as file:
        file.write("\n".join([BALANCED, *tables, 'roles = ["balancer"]\n']))


@pytest.mark.nightly
def test_two_hosts_behind_a_balancer_in_a_browser(
    hosts: GetHosts, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Both have one shared folder, with the database and the uploads, as docs/django.md says."""
    *webs, balancer = three = hosts(3, packages=READY)
    for host in three:
        host.reset()
    folder = tmp_path_factory.mktemp("fleet")
    project = begun(folder)
    balanced(project, three)
    project.fab("setup")
    (folder / "shared").mkdir()
    share(folder / "shared", webs, "/srv/notes/shared")
    assert re.search(r"test Ran \d tests in ", project.fab("deploy").text)
    project.fab("run", "-H", webs[0].name, "--command", CREATE)
    picture = folder / "pixel.png"
    picture.write_bytes(PICTURE)
    place = f"{balancer.address}:{balancer.https_port}"
    with browser({f"{NAME}:443": place}, LEAF) as window:
        story(window, f"https://{NAME}", picture)
    for web in webs:
        asked = web.sh("grep -c 'HTTP/1.[01]\" 200' /var/log/nginx/notes.access.log")
        assert int(asked) > 1, "both hosts have answered"


SQLITE = """
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "db.sqlite3",
"""
POSTGRESQL = """
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "notes",
        "USER": "notes",
        "PASSWORD": "on a developer's machine",
        "HOST": "localhost",
"""


@pytest.mark.nightly
def test_two_hosts_with_one_postgresql(hosts: GetHosts, tmp_path: Path) -> None:
    """A login on one host counts on the other, and both serve an upload; also after a deploy."""
    *webs, balancer = three = hosts(3, packages=READY)
    [database] = hosts(packages=postgres.PACKAGES)
    for host in (*three, database):
        host.reset()
    password = "only on the hosts"
    postgres.serve(database, "notes", password)
    needs = ("requirements.txt", "Django>=4.2,<5.3\n", "Django>=4.2,<5.3\npsycopg[binary]\n")
    project = begun(tmp_path, ("notebook/settings.py", SQLITE, POSTGRESQL), needs)
    balanced(project, three)
    settings = project.folder / "cartwheel.toml"
    where = f'DATABASE_HOST = "{database.address}"\nDATABASE_PORT = "{postgres.PORT}"\n'
    secret = 'DATABASE_PASSWORD = { file = "../password" }\n'
    (tmp_path / "password").write_text(password)
    text = settings.read_text()
    text = text.replace("[env]\n", f"[env]\n{where}").replace("[secrets]\n", f"[secrets]\n{secret}")
    settings.write_text(text)
    project.fab("setup")
    (tmp_path / "shared").mkdir()
    share(tmp_path / "shared", webs, "/srv/notes/shared")
    project.fab("deploy", "--skip-tests")
    project.fab("run", "-H", webs[0].name, "--command", CREATE)

    ann = Person(NAME, (balancer.address, balancer.https_port), ROOT.pem)
    login = {"username": "ann", "password": PASSWORD}
    assert ann.submit("/accounts/login/", login).path == "/"
    listed = ann.submit("/write/", {"title": "One", "text": "1"}, ("file", "dot.png", PICTURE))
    [url] = re.findall(r'class="file" href="(/media/notes/\d{4}/dot\.png)"', listed.text)
    both_serve(ann, webs, url)
    style = project.folder / "notes/static/notes/notes.css"
    style.write_text(style.read_text() + "\np { color: navy; }\n")
    project.fab("deploy", "--skip-tests")
    both_serve(ann, webs, url)
    assert postgres.ask(database, "notes", "SELECT count(*) FROM django_session") == "1"
    assert "sqlite3" not in webs[1].sh("ls /srv/notes/shared")


def both_serve(ann: Person, webs: Sequence[LabHost], url: str) -> None:
    """She is logged in on both hosts, and both send the upload."""
    for path in ("/write/", url):
        count = f"grep -c 'GET {path} HTTP/1.[01]\" 200' /var/log/nginx/notes.access.log ||:"
        before = [int(web.sh(count)) for web in webs]
        answers = [ann.get(path) for _ in range(6)]
        assert {(one.status, one.path) for one in answers} == {(200, path)}
        assert path != url or {one.body for one in answers} == {PICTURE}
        after = [int(web.sh(count)) for web in webs]
        assert all(map(operator.lt, before, after)), f"{path}: {before}, {after}"
