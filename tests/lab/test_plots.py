"""The plots of the monitor's page in a real browser, under its own policy for content."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from werkzeug.serving import make_server

from cartwheel_monitor.page import site, words
from cartwheel_monitor.page.door_token import PARAMETER, TokenDoor
from tests.kit import monitored
from tests.kit.browser import Browser, browser
from tests.kit.certificates import certificate
from tests.kit.waiting import until

pytestmark = pytest.mark.nightly

PLOTS = 6


@pytest.fixture
def window(tmp_path: Path) -> Iterator[Browser]:
    """At the requests of an application with a deploy a day."""
    filled = monitored.fill(tmp_path, time.time())
    server = make_server("127.0.0.1", 0, site.create(filled.places, TokenDoor("t0ken")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with browser({}, certificate("localhost")) as one:
            one.open(f"http://127.0.0.1:{server.port}/?{PARAMETER}=t0ken")
            one.open(f"http://127.0.0.1:{server.port}/apps/shop/?span=7d")
            yield one
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def count(window: Browser, css: str) -> int:
    return len(window.driver.find_elements(By.CSS_SELECTOR, css))


def test_one_can_point_at_a_plot(window: Browser) -> None:
    window.find(".canvas canvas")
    assert count(window, ".canvas canvas") == PLOTS
    assert not window.find("svg.drawn").is_displayed()
    over = window.find(".u-over")
    edge = -over.size["width"] // 2 + 3
    ActionChains(window.driver).move_to_element_with_offset(over, edge, 0).perform()
    pointed = window.driver.find_elements(By.CSS_SELECTOR, ".pointed")
    until(lambda: all(one.text for one in pointed))
    assert len(pointed) == PLOTS and len({one.text for one in pointed}) == 1
    assert window.find(".legend .last").text == words.NOTHING  # seven days ago nothing was known
    assert window.complaints() == []


def test_a_refresh_keeps_the_plots_and_what_is_open(window: Browser) -> None:
    window.find(".canvas canvas")
    window.driver.execute_script("document.querySelector('#numbers-times').open = true")
    until(lambda: window.find("#numbers-times table").is_displayed())
    before = window.find(".canvas")
    window.driver.execute_async_script(
        "document.addEventListener('refreshed', () => arguments[0](), {once: true}); refresh();"
    )
    assert window.find(".canvas") != before
    assert count(window, ".canvas canvas") == PLOTS
    assert window.find("#numbers-times table").is_displayed()
    assert window.complaints() == []


@pytest.mark.parametrize("width", [500, 2600])
def test_plots_fit_a_phone_and_a_wall(window: Browser, width: int) -> None:
    def is_filled() -> bool:
        inner = int(window.driver.execute_script("return innerWidth"))
        room, drawn = (window.find(css).size["width"] for css in ("figure.plot", "canvas"))
        return abs(inner - width) <= 1 and abs(room - drawn) <= 1

    window.driver.set_window_size(width, 1200)
    until(is_filled)
    assert not window.driver.execute_script(
        "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
    assert window.complaints() == []
