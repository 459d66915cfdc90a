"""Uploads to the host's cache: whole or not there, and sent again after any accident."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from cartwheel.host import layout
from cartwheel.host.layout import Layout
from cartwheel.host.look import facts
from cartwheel.host.release import install, marks, prepare, verify
from cartwheel.host.system import children, context, files
from cartwheel.host.system.children import Done
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.download import File
from cartwheel.host.wire.installing import Installing
from cartwheel.host.wire.making import BringTool, Install, Upload
from cartwheel.host.wire.manifest import Python
from tests.unit.hostside import Session, host_in

WHEEL = b"the wheel"
SHA = hashlib.sha256(WHEEL).hexdigest()
NAME = "shop-1.0-py3-none-any.whl"
PIP = Installing("pip", "25", "0.9", "nobody")


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    one = host_in(tmp_path, monkeypatch)
    one.cache.mkdir()
    return one


def upload(at: Layout, data: bytes | None) -> bool | None:
    ctx = Session(at).ctx()
    ctx.blob = io.BytesIO(data) if data is not None else None
    return prepare.upload(ctx, Upload(File(NAME, SHA), None)).changed


def installing(*wheels: File) -> Install:
    return Install(
        release="1.0.a",
        python=Python(),
        lock="",
        lock_sha256="aa",
        lock_beside="",
        wheels=wheels,
        installing=PIP,
        timeout_seconds=5,
    )


def cached(at: Layout) -> list[str]:
    return facts._cached(at.cache / "wheels")


def test_an_upload_is_kept_under_its_digest(at: Layout) -> None:
    assert upload(at, WHEEL) is True
    assert (at.cache / "wheels" / SHA / NAME).read_bytes() == WHEEL
    assert cached(at) == [SHA]
    assert upload(at, None) is False


@pytest.mark.parametrize("data", [b"damaged", b""])
def test_a_damaged_upload_is_not_kept_and_is_sent_again(at: Layout, data: bytes) -> None:
    with pytest.raises(OpError) as caught:
        upload(at, data)
    assert caught.value.slug == "upload-damaged"
    assert cached(at) == [], "so the next plan sends it"
    assert upload(at, WHEEL) is True


def test_a_wheel_that_was_damaged_on_the_host_is_sent_again(at: Layout) -> None:
    upload(at, WHEEL)
    (at.cache / "wheels" / SHA / NAME).write_bytes(b"bit rot")
    with pytest.raises(OpError) as caught:
        install.install(Session(at).ctx(), installing(File(NAME, SHA)))
    assert caught.value.slug == "wheel-corrupt"
    assert cached(at) == []


def test_so_is_one_of_what_lies_beside_the_application(at: Layout) -> None:
    beside = at.cache / "wheels" / ("b" * 64) / "money-1.0-py3-none-any.whl"
    beside.parent.mkdir(parents=True)
    beside.write_bytes(b"bit rot")
    upload(at, WHEEL)
    request = installing(File(NAME, SHA), File(beside.name, "b" * 64))
    with pytest.raises(OpError) as caught:
        install.install(Session(at).ctx(), request)
    assert (caught.value.slug, cached(at)) == ("wheel-corrupt", [SHA])


@pytest.mark.parametrize("lock", [
    "money==1.0 \\\n    --hash=sha256:ab\n",
    "money @ https://x.example/a/money-1.0-py3-none-any.whl \\\n    --hash=sha256:ab\n",
    "Money @ https://x.example/a-b/money-1.0.tar.gz \\\n    --hash=sha256:ab\n",
])  # fmt: skip
def test_the_installed_set_is_the_lock_and_the_application(at: Layout, lock: str) -> None:
    site = at.release("1.0.a") / "venv" / "lib" / "python3.11" / "site-packages"
    (at.release("1.0.a")).mkdir(parents=True, exist_ok=True)
    (at.release("1.0.a") / "lock.txt").write_text(lock)
    for name in ("shop-1.0", "money-1.0"):
        (site / f"{name}.dist-info").mkdir(parents=True)
    verify._check_lock(at, "1.0.a")
    (site / "money-1.0.dist-info").rename(site / "money-2.0.dist-info")
    with pytest.raises(OpError, match="missing: money"):
        verify._check_lock(at, "1.0.a")


def test_a_check_that_dies_without_a_word_is_a_failure(
    at: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "run", lambda *_args, **_more: Done(-9, ""))
    with pytest.raises(OpError) as caught:
        verify._check_packages(Session(at).ctx(), at, "1.0.a", PIP)
    assert caught.value.slug == "install-failed"
    assert files.read_link(at.current) is None


def test_a_step_is_done_for_this_boot_only(
    at: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The marks are synced at once and what they speak of is not: after a power cut a torn
    virtual environment would be taken for a whole one."""
    boot = tmp_path / "boot_id"
    boot.write_text("one\n")
    monkeypatch.setattr(context, "_BOOT_ID", boot)
    at.release("1.a").mkdir()
    marks.mark(at, "1.a", "venv", "digest")
    marks.mark(at, "1.a", "install", "digest")
    assert marks.marked(at, "1.a", "venv", "digest")
    assert not marks.marked(at, "1.a", "venv", "another")
    boot.write_text("two\n")
    assert not marks.marked(at, "1.a", "venv", "digest")
    marks.mark(at, "1.a", "venv", "digest")
    assert marks.marked(at, "1.a", "venv", "digest")
    assert not marks.marked(at, "1.a", "install", "digest")


def test_the_hosts_pip_gets_its_name_when_it_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A torn one would be taken for whole, for ever."""
    folder = tmp_path / "pips"
    monkeypatch.setattr(layout, "PIP", folder)
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("pip/__main__.py", "x = 1")
    synced: list[list[str]] = []

    def sync(path: Path) -> None:
        assert (path / "pip" / "__main__.py").exists()
        synced.append([one.name for one in folder.iterdir() if not one.name.startswith(".")])

    monkeypatch.setattr(files, "sync_filesystem", sync)
    session = Session()
    ctx = session.ctx()
    ctx.blob = wheel
    wheel.seek(0)
    sha256 = hashlib.sha256(wheel.getvalue()).hexdigest()
    request = BringTool("pip", "1.0", File("pip-1.0-py3-none-any.whl", sha256), None)
    assert prepare.tool(ctx, request).changed
    assert synced == [[]]
    assert (folder / "1.0" / "pip" / "__main__.py").read_text() == "x = 1"
    assert not prepare.tool(ctx, request).changed


def _uv_wheel(program: bytes) -> io.BytesIO:
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("uv/__init__.py", "")
        archive.writestr("uv-1.0.data/scripts/uv", program)
    return wheel


def _bring_uv(program: bytes) -> bool | None:
    ctx, wheel = Session().ctx(), _uv_wheel(program)
    ctx.blob = wheel
    sha256 = hashlib.sha256(wheel.getvalue()).hexdigest()
    request = BringTool("uv", "1.0", File("uv-1.0-py3-none-any.whl", sha256), None)
    return prepare.tool(ctx, request).changed


def test_uv_is_brought_if_the_host_can_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "UV", tmp_path / "uvs")
    for program in (b"#!/bin/sh\necho no such libc >&2; exit 1\n", b"\x7fELF of another machine"):
        with pytest.raises(OpError, match="uv does not run on this host: ") as caught:
            _bring_uv(program)
        assert caught.value.slug == "no-uv"
        assert not list((tmp_path / "uvs").iterdir())
    assert _bring_uv(b"#!/bin/sh\necho uv 1.0\n") is True
    assert _bring_uv(b"") is False
    assert [path.name for path in (tmp_path / "uvs" / "1.0").iterdir()] == ["uv"]


def test_another_application_may_bring_the_same_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "UV", tmp_path / "uvs")
    sync = files.sync_filesystem

    def meanwhile(path: Path) -> None:
        monkeypatch.setattr(files, "sync_filesystem", sync)
        _bring_uv(b"#!/bin/sh\necho uv 1.0\n")

    monkeypatch.setattr(files, "sync_filesystem", meanwhile)
    assert _bring_uv(b"#!/bin/sh\necho uv 1.0\n") is True
    assert [path.name for path in (tmp_path / "uvs").iterdir()] == ["1.0"]
