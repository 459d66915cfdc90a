"""Names that a host gets: safe in paths, units and accounts, and never too long."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartwheel.host.layout import Layout, content_of
from cartwheel.host.wire.instance import WEB, Instance
from cartwheel.settings import names
from cartwheel.settings.checks import RELEASE_BYTES
from cartwheel.settings.toml_tables import Settings

_RELEASE = re.compile(r"[0-9][a-z0-9._]*")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def settings(name: str, environment: str | None = None, user: str | None = None) -> Settings:
    app = {"name": name, "source": "."} | ({"user": user} if user else {})
    return Settings.model_validate({"app": app, "environment": environment})


@given(st.text(max_size=60), st.lists(st.text()))
def test_a_release_is_a_safe_name(version: str, parts: list[str]) -> None:
    name = names.release_name(version, parts)
    assert _RELEASE.fullmatch(name)
    assert len(name.encode()) <= RELEASE_BYTES
    assert not name.endswith(".service")
    assert name == names.release_name(version, list(parts))


@pytest.mark.parametrize(
    ("version", "start"),
    [
        ("1.2.3", "1.2.3."),
        ("1.0+Local-1", "1.0.local.1."),
        ("1!2.0", "1.2.0."),
        ("v2", "0.v2."),
        ("", "0.."),
        ("../../etc", "0.etc."),
        ("2024.01.rc1", "2024.01.rc1."),
    ],
)
def test_versions(version: str, start: str) -> None:
    assert names.release_name(version, []).startswith(start)


@given(st.lists(st.text(), unique=True, min_size=2, max_size=4))
def test_other_parts_other_name(parts: list[str]) -> None:
    assert names.release_name("1", parts) != names.release_name("1", parts[::-1])
    assert names.release_name("1", parts) != names.release_name("1", ["".join(parts)])


def test_a_name_that_no_broken_release_has() -> None:
    longest = names.release_name("1" * 60, [])
    taken: list[str] = []
    for number in range(1, 100):
        name = names.unspoilt(longest, taken)
        assert name not in taken
        assert _RELEASE.fullmatch(name)
        assert len(name.encode()) <= RELEASE_BYTES
        assert content_of(name) == longest, number
        taken.append(name)


def test_a_keyed_digest_needs_the_key() -> None:
    assert names.keyed_digest("00", "x") != names.keyed_digest("01", "x")
    assert names.keyed_digest("00", "x") == names.keyed_digest("00", "x")


LONG = "a" * 24


@pytest.mark.parametrize(
    ("of", "user"),
    [
        (settings("shop"), "shop"),
        (settings("shop", "staging"), "shop-staging"),
        (settings("my-shop-admin"), "my-shop-admin"),
        (settings("shop", user="www"), "www"),
    ],
)
def test_users(of: Settings, user: str) -> None:
    assert names.user(of) == user
    assert names.group(of) == user + "-http"


@given(
    st.from_regex(r"\A[a-z][a-z0-9]{0,23}\Z"),
    st.none() | st.from_regex(r"\A[a-z][a-z0-9]{0,23}\Z"),
    st.none() | st.from_regex(r"\A[a-z_][a-z0-9_-]{0,30}\Z"),
)
def test_accounts_are_valid(name: str, environment: str | None, user: str | None) -> None:
    of = settings(name, environment, user)
    assert _USER.fullmatch(names.user(of))
    assert _USER.fullmatch(names.group(of))


def test_two_environments_with_long_names_are_two_users() -> None:
    one, two = settings(LONG, "production"), settings(LONG, "preview")
    assert names.user(one) != names.user(two)
    assert names.group(one) != names.group(two)


def test_a_prefix_is_never_a_match() -> None:
    assert names.site_path(settings("shop")) != names.site_path(settings("shop", "admin"))
    units = {
        Layout(app).unit(Instance(WEB, "1.a", "web"))
        for app in ("shop", "shop-admin", "shop.admin")
    }
    assert len(units) == 3
