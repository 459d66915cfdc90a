"""Uploads to the host's cache: whole or not there, and sent again after any accident."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host import children, facts, files, install, prepare, verify
from cartwheel.host.children import Done
from cartwheel.host.context import Context, OpError, boottime
from cartwheel.host.layout import Layout

from .hostside import Session, host_in

WHEEL = b"the wheel"
SHA = hashlib.sha256(WHEEL).hexdigest()
NAME = "shop-1.0-py3-none-any.whl"


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    one = host_in(tmp_path, monkeypatch)
    one.cache.mkdir()
    return one


def upload(at: Layout, data: bytes | None) -> dict[str, Any]:
    session = Session()
    ctx = Context(
        send=session.events.append,
        lost=session.lost,
        deadline=boottime() + 10,
        memory=session.memory,
        at_end=session.at_end,
        blob=io.BytesIO(data) if data is not None else None,
    )
    args = {"app": at.app, "base": str(at.base), "sha256": SHA, "filename": NAME}
    return prepare.upload(ctx, args)


def cached(at: Layout) -> list[str]:
    return facts._cached(at.cache / "wheels")


def test_an_upload_is_kept_under_its_digest(at: Layout) -> None:
    assert upload(at, WHEEL) == {"changed": True}
    assert (at.cache / "wheels" / SHA / NAME).read_bytes() == WHEEL
    assert cached(at) == [SHA]
    assert upload(at, None) == {"changed": False}


@pytest.mark.parametrize("data", [b"damaged", b""])
def test_a_damaged_upload_is_not_kept_and_is_sent_again(at: Layout, data: bytes) -> None:
    with pytest.raises(OpError) as caught:
        upload(at, data)
    assert caught.value.slug == "upload-damaged"
    assert cached(at) == [], "so the next plan sends it"
    assert upload(at, WHEEL) == {"changed": True}


def test_a_wheel_that_was_damaged_on_the_host_is_sent_again(at: Layout) -> None:
    upload(at, WHEEL)
    (at.cache / "wheels" / SHA / NAME).write_bytes(b"bit rot")
    args = {
        "app": at.app,
        "base": str(at.base),
        "release": "1.0.a",
        "user": "nobody",
        "lock": "",
        "lock_sha256": "aa",
        "wheel_sha256": SHA,
        "wheel_filename": NAME,
    }
    with pytest.raises(OpError) as caught:
        install.install(Session().ctx(), args)
    assert caught.value.slug == "wheel-corrupt"
    assert cached(at) == []


def test_a_check_that_dies_without_a_word_is_a_failure(
    at: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "run", lambda *_args, **_more: Done(-9, ""))
    with pytest.raises(OpError) as caught:
        verify._check_packages(
            Session().ctx(), at, "1.0.a", {"pip_version": "25", "user": "nobody"}
        )
    assert caught.value.slug == "dependency-missing"
    assert files.read_link(at.current) is None
