"""What hosts need is published in their store once, and found there by its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from cartwheel.build.publish.fleet_store import Item, Store, store_for
from cartwheel.build.publish.index import form
from cartwheel.build.publish.publishing import planned, publish
from cartwheel.errors import BuildError
from cartwheel.hidden import Hidden
from cartwheel.settings.toml_tables import Artifacts
from tests.build.conftest import Heard
from tests.build.indexes import make_wheel
from tests.kit import artifact_store
from tests.kit.artifact_store import Knobs
from tests.kit.ports import free_port

LOGINS = ["writer:hunter2", "reader:hunter3"]
Kind = Literal["folder", "index"]


@pytest.fixture
def knobs() -> Knobs:
    return Knobs()


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """The store's own folder."""
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def url(shelf: Path, knobs: Knobs) -> Iterator[str]:
    with artifact_store.served(shelf, logins=LOGINS, knobs=knobs) as found:
        yield found


def store(kind: Kind, url: str, writer: str = LOGINS[0], reader: str = LOGINS[1]) -> Store:
    def login(text: str) -> tuple[str, Hidden]:
        name, _, password = text.partition(":")
        return name, Hidden(password)

    where = {
        "folder": (f"{url}/files", f"{url}/files"),
        "index": (f"{url}/simple", f"{url}/legacy/"),
    }
    return Store(kind, *where[kind], 5, writer=login(writer), reader=login(reader))


def item(folder: Path, version: str = "1.0", text: str = "") -> Item:
    """A wheel; another text is another content of the same name."""
    folder.mkdir(exist_ok=True)
    path = make_wheel(folder, "demo", version, (text,) if text else ())
    return Item("demo", version, path, hashlib.sha256(path.read_bytes()).hexdigest())


def asked(shelf: Path) -> list[tuple[str, str]]:
    return [(one.method, one.user) for one in artifact_store.requests(shelf, "here")]


@pytest.mark.parametrize(
    ("kind", "look", "add"), [("folder", "HEAD", "PUT"), ("index", "GET", "POST")]
)
def test_it_is_sent_once(
    kind: Kind, look: str, add: str, url: str, shelf: Path, tmp_path: Path, heard: Heard
) -> None:
    wheel = item(tmp_path / "wheels")
    first = publish(store(kind, url), wheel, heard)
    again = publish(store(kind, url), wheel, heard)
    assert first == again
    assert asked(shelf) == [(look, "reader"), (add, "writer"), (look, "reader"), (look, "reader")]
    assert heard.states("publish") == ["start", "done", "unchanged"]
    assert (first.size_bytes, first.login) == (wheel.size_bytes, ("reader", Hidden("hunter3")))
    where = {"folder": f"files/{wheel.sha256}", "index": "packages"}[kind]
    assert first.url == f"{url}/{where}/{wheel.path.name}"
    assert (shelf / where / wheel.path.name).read_bytes() == wheel.path.read_bytes()


def test_a_folder_keeps_every_content_of_one_version(
    url: str, tmp_path: Path, heard: Heard
) -> None:
    one, two = item(tmp_path / "one"), item(tmp_path / "two", text="x")
    found = {publish(store("folder", url), each, heard).url for each in (one, two)}
    assert len(found) == 2


@pytest.mark.parametrize("status", [400, 409])
@pytest.mark.parametrize("hashes", [True, False])
def test_an_index_that_has_another_file_of_this_version(
    url: str, tmp_path: Path, heard: Heard, knobs: Knobs, status: int, hashes: bool
) -> None:
    knobs.taken, knobs.hashes = status, hashes
    publish(store("index", url), item(tmp_path / "one"), heard)
    with pytest.raises(
        BuildError, match=r"/simple already has a different demo-1\.0-py3-none-any\.whl"
    ) as caught:
        publish(store("index", url), item(tmp_path / "two", text="x"), heard)
    assert caught.value.slug == "version-taken"
    assert caught.value.hint.startswith("Change the app's version")
    publish(store("index", url), item(tmp_path / "three", "1.1", text="x"), heard)


@pytest.mark.parametrize("status", [400, 409])
def test_an_index_that_hides_what_it_refuses_for(
    url: str,
    shelf: Path,
    tmp_path: Path,
    heard: Heard,
    knobs: Knobs,
    status: int,
) -> None:
    knobs.taken = status
    publish(store("index", url), item(tmp_path / "one"), heard)
    elsewhere = replace(store("index", url), url=f"{url}/files")  # no page names the file
    with pytest.raises(BuildError) as caught:
        publish(elsewhere, item(tmp_path / "two", text="x"), heard)
    assert caught.value.slug == "version-taken"


def test_an_index_without_hashes_is_asked_for_the_file(
    url: str, shelf: Path, tmp_path: Path, heard: Heard, knobs: Knobs
) -> None:
    knobs.hashes = False
    wheel = item(tmp_path / "wheels")
    assert publish(store("index", url), wheel, heard) == publish(store("index", url), wheel, heard)
    assert [method for method, _ in asked(shelf)].count("POST") == 1


@pytest.mark.parametrize("kind", ["folder", "index"])
@pytest.mark.parametrize("who", ["writer", "reader"])
def test_a_wrong_password_is_one_clear_line(
    url: str, tmp_path: Path, heard: Heard, kind: Kind, who: str
) -> None:
    with pytest.raises(BuildError, match=" answers 401 UNAUTHORIZED to ") as caught:
        publish(store(kind, url, **{who: f"{who}:wr0ng"}), item(tmp_path / "wheels"), heard)
    assert caught.value.slug == "store-refuses"
    assert "wr0ng" not in str(caught.value) + caught.value.detail


@pytest.mark.parametrize("kind", ["folder", "index"])
def test_a_store_that_is_down(kind: Kind, tmp_path: Path, heard: Heard) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(BuildError, match="cannot be reached: Connection refused") as caught:
        publish(store(kind, address), item(tmp_path / "wheels"), heard)
    assert caught.value.slug == "store-unreachable"


def test_half_a_file_is_sent_again(url: str, shelf: Path, tmp_path: Path, heard: Heard) -> None:
    wheel = item(tmp_path / "wheels")
    publish(store("folder", url), wheel, heard)
    there = shelf / "files" / wheel.sha256 / wheel.path.name
    there.write_bytes(there.read_bytes()[:100])
    publish(store("folder", url), wheel, heard)
    assert there.read_bytes() == wheel.path.read_bytes()


def test_who_hosts_are_is_told_to_the_stores_own_server_only(
    url: str, tmp_path: Path, heard: Heard, knobs: Knobs
) -> None:
    knobs.files_at = "http://cdn.invalid"
    found = publish(store("index", url), item(tmp_path / "wheels"), heard)
    assert found.url == "http://cdn.invalid/demo-1.0-py3-none-any.whl"
    assert found.login is None


def test_an_index_that_sends_us_to_another_does_not_have_it(
    url: str, shelf: Path, tmp_path: Path, heard: Heard, knobs: Knobs
) -> None:
    """As some do with the public one: hosts may not reach that, and it need not know of us."""
    knobs.fallback = f"http://localhost:{free_port()}/simple"
    found = publish(store("index", url), item(tmp_path / "wheels"), heard)
    assert found.url.startswith(f"{url}/packages/")
    assert ("POST", "writer") in asked(shelf)


def test_the_form_is_what_the_api_requires(tmp_path: Path) -> None:
    lines = form(item(tmp_path / "wheels"), "edge").decode().split("\r\n")
    names = [line.split('"')[1] for line in lines if line.startswith("Content-Disposition")]
    assert set(names) == {*artifact_store._REQUIRED, "content"}
    assert "py3" in lines


def test_what_the_settings_say() -> None:
    assert store_for(Artifacts()) is None
    plain = store_for(Artifacts(url="https://files.example.org"))
    assert plain is not None
    assert (plain.upload_url, plain.writer, plain.reader) == (plain.url, None, None)
    named = Artifacts(url="https://x/", username="ann", read_username="web")
    both = store_for(named, Hidden("secret"), Hidden("other"))
    assert both is not None
    assert (both.writer, both.reader) == (("ann", Hidden("secret")), ("web", Hidden("other")))
    one = store_for(Artifacts(url="https://x/", username="ann"), Hidden("secret"))
    assert one is not None
    assert one.reader == ("ann", Hidden("secret"))
    assert "secret" not in repr(one)


def test_a_plan_asks_no_store(tmp_path: Path) -> None:
    wheel = item(tmp_path / "wheels")
    found = planned(store("folder", f"http://127.0.0.1:{free_port()}"), wheel)
    assert found.size_bytes == wheel.size_bytes
