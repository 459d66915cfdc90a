"""A real browser: headless Chromium. `script/browser-packages` installs it, in the nightly run."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.kit.certificates import Issued

_SECONDS = 20.0
_PHONE_PIXELS = 600
_CHROMIUM, _DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"


@dataclass(frozen=True)
class Browser:
    """One window."""

    driver: Chrome

    def open(self, url: str) -> None:
        self.driver.get(url)

    def find(self, css: str) -> WebElement:
        """The first element that fits, as soon as it is there."""
        return WebDriverWait(self.driver, _SECONDS).until(
            lambda driver: driver.find_element(By.CSS_SELECTOR, css)
        )

    def type(self, css: str, text: str) -> None:
        self.find(css).send_keys(text)

    def press(self, css: str) -> None:
        """Press a button or follow a link, and wait until its page is there."""
        before = self.driver.find_element(By.TAG_NAME, "html")
        self.find(css).click()
        WebDriverWait(self.driver, _SECONDS).until(lambda _driver: _is_gone(before))

    def style(self, css: str, name: str) -> str:
        """A computed property: it says whether a style sheet was loaded."""
        return self.find(css).value_of_css_property(name)

    def find_all(self, css: str) -> list[WebElement]:
        """All that are there now."""
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def run(self, script: str, *values: object) -> Any:
        """What a script of the test's own returns. Any: what it likes."""
        return self.driver.execute_script(script, *values)

    def tell(self, command: str, **values: object) -> Any:
        """A command of the DevTools protocol. Any: its answer."""
        return self.driver.execute_cdp_cmd(command, values)

    def look_like(self, width: int, height: int) -> None:
        """A screen of that size; a narrow one is a phone's."""
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < _PHONE_PIXELS,
        )

    @property
    def text(self) -> str:
        return self.find("body").text

    @property
    def cookies(self) -> dict[str, bool]:
        """The names of the page's cookies, and whether each is only sent over HTTPS."""
        return {one["name"]: bool(one["secure"]) for one in self.driver.get_cookies()}

    def complaints(self) -> list[str]:
        """What the console has said since the last time: errors, warnings, failed requests."""
        return [f"{one['level']}: {one['message']}" for one in self._log()]

    def _log(self) -> list[dict[str, Any]]:
        """The entries of the console. Any: as the browser says them."""
        entries: list[dict[str, Any]] = self.driver.execute("getLog", {"type": "browser"})["value"]
        return entries


def _is_gone(element: WebElement) -> bool:
    from selenium.common.exceptions import WebDriverException

    try:
        element.is_enabled()
    except WebDriverException:
        return True
    return False


@contextmanager
def browser(places: Mapping[str, str], trusted: Issued) -> Iterator[Browser]:
    """A browser that finds names (NAME:PORT) at other addresses (ADDRESS:PORT), and trusts one
    certificate besides those of the system."""
    _assert_installed()
    options = ChromeOptions()
    options.binary_location = _CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    rules = ",".join(f"MAP {name} {place}" for name, place in places.items())
    with TemporaryDirectory(prefix="cartwheel-browser-") as folder:
        for argument in (
            *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"),
            *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
            f"--user-data-dir={folder}",
            f"--host-resolver-rules={rules}",
            f"--ignore-certificate-errors-spki-list={_pin(trusted)}",
        ):
            options.add_argument(argument)
        env = {**os.environ, "HOME": folder, "XDG_CONFIG_HOME": folder, "XDG_CACHE_HOME": folder}
        driver = Chrome(options=options, service=ChromeService(_DRIVER, env=env))
        try:
            driver.set_page_load_timeout(_SECONDS)
            yield Browser(driver)
        finally:
            driver.quit()


def _pin(trusted: Issued) -> str:
    """The digest of a certificate's key."""
    key = trusted.one.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


def _assert_installed() -> None:
    missing = [path for path in (_CHROMIUM, _DRIVER) if not Path(path).exists()]
    assert not missing, f"there is no {missing[0]}: run script/browser-packages"
