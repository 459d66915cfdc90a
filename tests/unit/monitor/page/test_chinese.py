"""The page in Chinese: whole views, by the browser's language or by what a person chose."""

from __future__ import annotations

import re
import time

import pytest
from flask.testing import FlaskClient

from book import monitor_catalogue as catalogue
from cartwheel_monitor.incidents import Incident, Member
from cartwheel_monitor.subjects import Subject
from tests.kit import monitored
from tests.kit.monitored import Filled
from tests.unit.monitor.page.kit import filled, page, text_of

__all__ = ("filled", "page")
VIEWS = (
    *("/", "/incidents", "/incidents/shop/1", "/checks", "/apps/shop/", "/apps/shop/runs"),
    *("/apps/shop/releases", "/apps/shop/processes", "/nowhere"),
)
# Texts that are too short to be found by chance elsewhere, in names or in what hosts say.
_LEAST = 5


@pytest.fixture
def chinese(filled: Filled, page: FlaskClient) -> FlaskClient:
    now = time.time()
    site = Subject("site", "shop", "", filled.url)
    member = Member(site, now - 60, "5 s 内无响应", frozenset({"web1"}))
    one = Incident(1, "site", "shop", now - 60, now - 50, {site: member}, told=now - 45)
    monitored.note(filled, one, ("shop 无响应", "ops", now - 45, ""))
    page.get("/language/zh")
    return page


def english() -> list[str]:
    """Messages without placeholders, as they must not be seen."""
    found = [catalogue.first(one.id) for one in catalogue.known() if one.id != one.string]
    return [one for one in found if len(one) >= _LEAST and "{" not in one]


@pytest.mark.parametrize("path", VIEWS)
def test_no_english_is_left(chinese: FlaskClient, path: str) -> None:
    answer = chinese.get(path).get_data(as_text=True)
    assert '<html lang="zh-CN"' in answer
    assert '<a href="/language/en?' in answer
    shown = re.sub(r"<code.*?</code>|<script.*?</script>", " ", answer, flags=re.DOTALL)
    read = " ".join(re.findall(r">([^<]+)<", shown) + re.findall(r'(?:label|title)="(.+?)"', shown))
    assert [one for one in english() if re.search(rf"\b{re.escape(one)}\b", read)] == []


def test_dates_and_words_around_them(chinese: FlaskClient) -> None:
    assert "证书到期：" in text_of(chinese, "/")
    assert "shop 无响应，1 分钟前" in text_of(chinese, "/").replace(" ，", "，").replace(
        "， ", "，"
    )


@pytest.mark.parametrize(
    ("wanted", "lang"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"), ("zh-TW", "zh-CN"), ("en-GB,zh;q=0.5", "en"), ("", "en"),
     ("de,fr;q=0.5", "en"), ("de,zh-Hans-CN;q=0.5,en;q=0.3", "zh-CN"), ("zh;q=0", "en")],
)  # fmt: skip
def test_the_language_of_the_browser(page: FlaskClient, wanted: str, lang: str) -> None:
    answer = page.get("/", headers={"Accept-Language": wanted}).get_data(as_text=True)
    assert f'<html lang="{lang}"' in answer


def test_a_choice_wins(chinese: FlaskClient) -> None:
    text = text_of(chinese, "/")
    assert "主机群" in text
    chinese.get("/language/en")
    answer = chinese.get("/", headers={"Accept-Language": "zh-CN"}).get_data(as_text=True)
    assert '<html lang="en"' in answer
