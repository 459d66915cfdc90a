"""The whole page of the monitor in a real browser: every view, in each language, light and dark, on
a phone and on a wall."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib import resources
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from cartwheel_lab import LabHost
from tests.kit import messenger, monitored, whole_page
from tests.kit.browser import Browser, browser
from tests.kit.certificates import certificate
from tests.kit.pictures import give_it_a_day, picture
from tests.kit.project import Project, new_project
from tests.kit.served import Served, served
from tests.kit.waiting import until
from tests.kit.whole_page import Whole
from tests.lab import test_monitor as monitoring
from tests.lab.conftest import GetHosts

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(600)]

PHONE, DESK, WALL = (390, 844), (1280, 900), (2560, 1440)
AXE = resources.files("axe_core_python").joinpath("axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
# What Chromium says of the answer 404 that one view is.
NOT_FOUND = "the server responded with a status of 404"


@dataclass(frozen=True)
class Scenery:
    """A page with everything, and a browser that has been let in."""

    whole: Whole
    page: Served
    window: Browser

    def open(self, path: str) -> None:
        self.window.open(f"{self.page.address}{path}")

    def choose(self, **choices: str) -> None:
        """What a person has chosen before: the language, the theme."""
        for what, name in choices.items():
            self.open(f"/{what}/{name}")

    @property
    def views(self) -> dict[str, str]:
        return whole_page.views(self.whole, self.page)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenery]:
    folder = tmp_path_factory.mktemp("page")
    with (
        whole_page.whole_page(folder, time.time()) as whole,
        served(whole.places, whole.runs) as page,
        browser({}, certificate("localhost")) as window,
    ):
        window.open(page.way_in)
        yield Scenery(whole, page, window)


@pytest.fixture
def scenery(loaded: Scenery) -> Scenery:
    """As a person sees it first."""
    loaded.choose(language="en", theme="auto")
    loaded.window.look_like(*DESK)
    loaded.whole.places.status.touch()  # the watcher is there
    loaded.window.complaints()
    return loaded


def violations(window: Browser) -> list[str]:
    """What axe finds: the rule and the elements."""
    window.run(AXE)
    found: list[dict[str, Any]] = window.driver.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        " axe.run({runOnly: arguments[0], resultTypes: ['violations']})"
        ".then(found => done(found.violations));",
        RULES,
    )
    return [f"{one['id']}: {[node['html'][:200] for node in one['nodes']][:3]}" for one in found]


def is_too_wide(window: Browser) -> bool:
    return bool(window.run(
        "const root = document.documentElement; return root.scrollWidth > root.clientWidth"
    ))  # fmt: skip


def problems(window: Browser) -> list[str]:
    """Of the view that is open."""
    found = [one for one in window.complaints() if NOT_FOUND not in one]
    if is_too_wide(window):
        found.append("its body scrolls sideways")
    for css in ("header.top", "main", "footer", "h1"):
        if len(window.find_all(css)) != 1:
            found.append(f"not one {css}")
    return found + violations(window)


@pytest.mark.parametrize("screen", [PHONE, WALL], ids=["phone", "wall"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_view_fits_and_everybody_can_use_it(
    scenery: Scenery, language: str, theme: str, screen: tuple[int, int]
) -> None:
    scenery.choose(language=language, theme=theme)
    scenery.window.look_like(*screen)
    found = {}
    for name, path in scenery.views.items():
        scenery.open(path)
        if wrong := problems(scenery.window):
            found[name] = wrong
    assert found == {}
    assert scenery.window.find("html").get_attribute("data-theme") == theme


@pytest.mark.parametrize("screen", [PHONE, WALL], ids=["phone", "wall"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_login_too(scenery: Scenery, theme: str, screen: tuple[int, int]) -> None:
    with served(scenery.whole.places, with_login=True) as page:
        scenery.window.open(f"{page.address}/theme/{theme}")
        scenery.window.look_like(*screen)
        scenery.window.open(f"{page.address}/login")
        assert problems(scenery.window) == []
        assert scenery.window.run("return document.activeElement.id") == "name"


# By keyboard

_INTERACTIVE = """
return [...document.querySelectorAll(
  'a[href], button, input:not([type=hidden]), select, summary, [tabindex="0"]')]
  .filter(one => one.checkVisibility());
"""
_FOCUS = """
const one = document.activeElement;
const style = getComputedStyle(one), box = one.getBoundingClientRect();
return {body: one === document.body || one === document.documentElement,
  outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
  there: box.width > 0 && box.right > 0 && box.bottom > 0 && box.left < innerWidth
    && box.top < innerHeight,
  html: one.outerHTML.slice(0, 160)};
"""


def press(window: Browser, *keys: str) -> None:
    ActionChains(window.driver).send_keys(*keys).perform()


def by_keyboard(window: Browser) -> list[str]:
    """What is wrong for somebody with a keyboard alone."""
    wanted = window.run(_INTERACTIVE)
    reached, found = [], []
    window.run("document.activeElement.blur(); scrollTo(0, 0)")
    for _ in range(2 * len(wanted) + 5):
        press(window, Keys.TAB)
        focus = window.run(_FOCUS)
        if focus["body"]:
            break
        one = window.driver.switch_to.active_element
        reached.append(one)
        if not one.accessible_name.strip():
            found.append(f"no name: {focus['html']}")
        if not (focus["outline"] and focus["there"]):
            found.append(f"no visible focus: {focus['html']}")
    missed = [one for one in wanted if one not in reached]
    return found + [f"not reached: {one.get_attribute('outerHTML')[:160]}" for one in missed]


@pytest.mark.parametrize("screen", [PHONE, DESK], ids=["phone", "desk"])
def test_everything_is_reached_by_keyboard(scenery: Scenery, screen: tuple[int, int]) -> None:
    scenery.window.look_like(*screen)
    found = {}
    for name, path in scenery.views.items():
        scenery.open(path)
        if wrong := by_keyboard(scenery.window):
            found[name] = wrong
    assert found == {}


def test_the_skip_link_leads_to_the_content(scenery: Scenery) -> None:
    scenery.open("/checks")
    press(scenery.window, Keys.TAB)
    skip = scenery.window.driver.switch_to.active_element
    assert skip.get_attribute("class") == "skip" and skip.location["x"] >= 0
    press(scenery.window, Keys.ENTER)
    until(lambda: scenery.window.run("return document.activeElement.id") == "main")
    press(scenery.window, Keys.TAB)
    assert scenery.window.run("return document.activeElement.closest('main') !== null")


# Without JavaScript

# Of a plot the picture differs, and what is pointed at.
_FACTS = """
document.querySelectorAll('svg, .canvas, .pointed').forEach(one => one.remove());
document.querySelectorAll('details').forEach(one => one.open = true);
return document.querySelector('main').innerText.replace(/\\s+/g, ' ').trim();
"""


def facts(scenery: Scenery, path: str) -> str:
    scenery.open(path)
    return str(scenery.window.run(_FACTS))


def without_script(scenery: Scenery, path: str) -> str:
    scenery.window.tell("Emulation.setScriptExecutionDisabled", value=True)
    try:
        found = facts(scenery, path)
        assert scenery.window.run("return typeof refresh") == "undefined", "no script ran"
        return found
    finally:
        scenery.window.tell("Emulation.setScriptExecutionDisabled", value=False)


def shows_the_same(scenery: Scenery, path: str) -> bool:
    return facts(scenery, path) == without_script(scenery, path)


def test_without_javascript_it_shows_the_same(scenery: Scenery) -> None:
    for path in scenery.views.values():
        # Times are told in minutes: another one may begin between both.
        until(partial(shows_the_same, scenery, path), 20, shown=path)
        assert len(facts(scenery, path)) > 20, path


# What a person has chosen


def test_a_theme_and_a_language_stay(scenery: Scenery) -> None:
    window = scenery.window
    scenery.open("/checks")
    light = window.style("body", "background-color")
    window.press("a[href^='/theme/dark']")
    assert window.driver.current_url.rstrip("?") == f"{scenery.page.address}/checks"
    assert window.style("body", "background-color") != light
    window.press("a[href^='/language/zh']")
    for path in ("/", "/incidents"):
        scenery.open(path)
        html = window.find("html")
        assert (html.get_attribute("data-theme"), html.get_attribute("lang")) == ("dark", "zh-CN")
    window.press("a[href^='/language/en']")
    window.press("a[href^='/theme/light']")
    assert window.style("body", "background-color") == light
    assert window.find("html").get_attribute("lang") == "en"
    assert window.complaints() == []


# Fresh views

_REFRESHED = """
const done = arguments[arguments.length - 1];
document.addEventListener('refreshed', () => setTimeout(done), {once: true});
refresh();
"""


def refreshed(window: Browser) -> None:
    window.driver.execute_async_script(_REFRESHED)


_WHERE = """
const table = document.querySelector("section[aria-labelledby=app-blog] .scroll");
if (arguments[0]) {
  document.querySelector("a[href='/apps/shop/']").focus();
  scrollTo(0, 300);
  table.scrollLeft = 70;
}
return [document.activeElement.getAttribute("href"), scrollY, table.scrollLeft];
"""


def test_a_refresh_shows_what_is_new_and_leaves_the_person_where_he_was(scenery: Scenery) -> None:
    window = scenery.window
    window.look_like(*PHONE)
    scenery.open("/")
    assert window.run(_WHERE, True) == ["/apps/shop/", 300, 70]
    before = window.find("main h1")
    new = whole_page.incident(77, "clock", "", "web2", time.time() - 70)
    monitored.note(scenery.whole.shop, new)
    refreshed(window)
    assert window.find("a[href='/incidents/shop/77']").is_displayed()
    assert before != window.find("main h1")
    assert window.run(_WHERE, False) == ["/apps/shop/", 300, 70]
    assert window.complaints() == []


def test_a_refresh_closes_nothing_and_takes_no_choice_away(scenery: Scenery) -> None:
    window = scenery.window
    scenery.open("/checks")
    window.run("document.querySelectorAll('details')[1].querySelector('summary').click()")
    refreshed(window)
    assert [one.get_attribute("open") for one in window.find_all("details")][:2] == [None, "true"]
    scenery.open("/incidents")
    window.run(
        "document.querySelector('#kind').focus(); document.querySelector('#kind').value = 'disk';"
        " return refresh();"
    )
    assert window.run("return document.querySelector('#kind').value") == "disk"
    assert window.complaints() == []


def test_a_run_is_followed_by_itself(scenery: Scenery) -> None:
    scenery.open("/apps/blog/runs")
    before = scenery.window.find("main h1")
    until(lambda: scenery.window.find("main h1") != before, shown="fresh after two seconds")
    assert scenery.window.complaints() == []


def test_an_old_view_says_so(scenery: Scenery) -> None:
    window = scenery.window
    scenery.open("/")
    note = window.find(".stale")
    assert not note.is_displayed()
    window.tell("Network.enable")
    for is_gone in (True, False):
        window.tell("Network.emulateNetworkConditions", offline=is_gone, latency=0,
                    downloadThroughput=-1, uploadThroughput=-1)  # fmt: skip
        window.driver.execute_async_script("refresh().then(arguments[0])")
        assert note.is_displayed() == is_gone
    window.complaints()  # of the request that failed


# On a host, with what happened to real hosts

PAGE = "monitor.example.org"
PASSWORD = "correct horse battery"
SERVED = certificate(PAGE)


@dataclass(frozen=True)
class Lab:
    """A monitor that has seen a deploy, a rollback, a deploy that failed, and an outage; and a
    browser that is logged in."""

    project: Project
    hosts: list[LabHost]
    window: Browser

    def open(self, path: str) -> None:
        self.window.open(f"https://{PAGE}{path}")

    def shows(self, path: str, text: str) -> None:
        """Wait until a view says it."""

        def says() -> bool:
            self.open(path)
            return text in self.window.text

        until(says, 90, shown=lambda: self.window.text)


@pytest.fixture(scope="module")
def lab_page(hosts: GetHosts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    monitor, *web = every = hosts(3)
    for host in every:
        host.reset()
    project = new_project(tmp_path_factory.mktemp("shop"))
    project.settings(monitoring.settings(*web).replace("[monitor]\n", ON_A_HOST))
    for name, text in (("a.pem", SERVED.pem), ("a.key", SERVED.key), ("ops", messenger.ADDRESS)):
        project.write(name, text)
    messenger.start(monitor)
    on = ("-H", ",".join(host.name for host in web))
    project.fab("setup", *on)
    project.fab("deploy", *on, "--message", "the first")
    project.fab("monitor.install", "-H", monitor.name)
    project.fab("monitor.user.add", "ann", "-H", monitor.name, given=f"{PASSWORD}\n")
    with browser({f"{PAGE}:443": f"{monitor.address}:{monitor.https_port}"}, SERVED) as window:
        lab = Lab(project, web, window)
        lab.open("/incidents")
        window.type("#name", "ann")
        window.type("#password", PASSWORD)
        window.press("main button")
        _let_it_happen(lab, on)
        yield lab


ON_A_HOST = (
    f'[monitor]\npage = "{PAGE}"\npage_certificate = "a.pem"\npage_key = "a.key"\n'
    'page_ca = "a.pem"\n'
)


def _let_it_happen(lab: Lab, on: tuple[str, str]) -> None:
    visits = "for i in $(seq 300); do curl -s -o /dev/null http://127.0.0.1/; done"
    lab.project.app("another text")
    lab.project.fab("deploy", *on, "--message", "new prices")
    for host in lab.hosts:
        host.sh(visits)
    lab.project.fab("rollback", *on, "--message", "the prices were wrong")
    lab.project.write("app/app.py", "def app(environ, start_response):\n    raise SystemExit\n")
    lab.project.fab("deploy", *on, "--message", "a try", code=None)
    lab.shows("/apps/shop/runs", "a try")
    lab.hosts[0].sh(visits + "; systemctl stop 'cartwheel-shop.web*'")
    lab.shows("/", "shop does not answer")


def test_what_really_happened_is_pictured(lab_page: Lab, scenery: Scenery) -> None:
    window = lab_page.window
    window.look_like(*DESK)
    names = [host.name for host in lab_page.hosts]
    lab_page.open("/")
    assert "shop does not answer" in window.text and all(one in window.text for one in names)
    picture(window, "fleet", 1280, 640)
    window.press("ul.open a")
    said = window.text
    assert "502" in said and "fab diagnose" in said and "deploy of" in said
    picture(window, "incident", 1280, 760)
    lab_page.open("/apps/shop/runs")
    rows = [one.text for one in window.find_all("main tbody tr")]
    for number, words in enumerate(("a try", "the prices were wrong", "new prices")):
        assert words in rows[number]
    assert "rollback" in rows[1] and "confirmed" in rows[1] and "failed" in rows[0]
    window.press("main tbody tr th a")
    assert "not healthy after 10 s" in window.text
    picture(window, "run", 1280, 640)
    lab_page.open("/apps/shop/releases/compare")
    assert "What differs between two releases of shop" in window.text
    lab_page.open("/")
    picture(window, "phone", *PHONE)
    assert window.complaints() == []
    give_it_a_day(scenery.whole.shop)
    scenery.open("/apps/shop/")
    scenery.window.find(".canvas canvas")
    picture(scenery.window, "application", 1280, 900)


@pytest.mark.parametrize("screen", [PHONE, WALL], ids=["phone", "wall"])
def test_the_views_of_real_hosts_too(lab_page: Lab, screen: tuple[int, int]) -> None:
    found = {}
    lab_page.window.look_like(*screen)
    app = ("?span=6h", "runs", "releases", "releases/compare", "processes")
    for path in (
        "/",
        "/incidents",
        "/incidents/shop/1",
        "/checks",
        *(f"/apps/shop/{one}" for one in app),
    ):
        lab_page.open(path)
        if wrong := problems(lab_page.window):
            found[path] = wrong
    assert found == {}


def test_its_html_comes_compressed(lab_page: Lab) -> None:
    lab_page.open("/")
    sent, read = lab_page.window.run(
        "const one = performance.getEntriesByType('navigation')[0];"
        " return [one.encodedBodySize, one.decodedBodySize];"
    )
    assert 0 < 3 * sent < read


def test_logging_out_ends_the_session(lab_page: Lab) -> None:
    lab_page.open("/checks")
    lab_page.window.press("header button")
    lab_page.open("/checks")
    assert lab_page.window.find("#password").is_displayed()
    assert "/login?next=/checks" in lab_page.window.driver.current_url.replace("%2F", "/")
    assert lab_page.window.complaints() == []
