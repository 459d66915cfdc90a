"""Options in requirements files, pip's configuration and projects: what pip and uv install."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cartwheel.build.artifact import build_app
from cartwheel.build.lock import lock_for, pins
from cartwheel.build.order import Order
from cartwheel.build.products import Lock
from cartwheel.errors import BuildError
from tests.build.conftest import BOOKWORM, Heard, settings_for
from tests.build.indexes import LocalIndex, make_wheel, serve
from tests.build.packages import package, write
from tests.kit.tiers import tiered

pytestmark = [pytest.mark.build, pytest.mark.usefixtures("lonely")]


@pytest.fixture
def index(index: LocalIndex, monkeypatch: pytest.MonkeyPatch) -> LocalIndex:
    """The options in pip's configuration."""
    for name in ("gunicorn", "flask"):
        index.add(name, "23.0")
    index.add("flask", "24.0a1")
    index.add("money", "1.0")
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    return index


@pytest.fixture
def other(tmp_path: Path) -> Iterator[LocalIndex]:
    """An index that only the application's files name."""
    (tmp_path / "other").mkdir()
    with serve(tmp_path / "other") as found:
        found.add("flask", "23.5")
        found.add("gunicorn", "23.1")
        found.add("money", "0.9")
        found.add("ours", "2.0")
        yield found


class Maker:
    def __init__(self, top: Path, emit: Heard) -> None:
        self.top, self.emit = top / "project", emit
        write(self.top / "main.py")

    def requirements(self, text: str) -> None:
        (self.top / "requirements.txt").write_text(text)

    def lock(self, **tables: object) -> Lock:
        settings = settings_for(".", app={"entry": "main:app"}, **tables)
        state = self.top.parent / "state"
        artifact = build_app(Order(settings, self.top, state, self.emit))
        return lock_for(Order(settings, self.top, state, self.emit), artifact, BOOKWORM)

    def installed(self, **tables: object) -> dict[str, str]:
        lock = self.lock(**tables)
        beside = {one.name: one.version for one in lock.wheels}
        return {**pins(lock.text), **beside}

    @property
    def notes(self) -> list[str]:
        return [event.detail for event in self.emit if event.state == "note"]


@pytest.fixture
def maker(tmp_path: Path, heard: Heard) -> Maker:
    return Maker(tmp_path, heard)


def asked_of_pip(requirements: Path) -> list[dict[str, Any]]:
    """The packages that pip itself would install, from its report."""
    argv = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "-q"]
    argv += ["--report", "-", "-r", str(requirements)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd="/")
    found: list[dict[str, Any]] = json.loads(done.stdout)["install"]
    return found


def by_pip(requirements: Path) -> dict[str, str]:
    found = [one["metadata"] for one in asked_of_pip(requirements)]
    return {one["name"]: one["version"] for one in found}


FILES = {
    "nothing": "flask\nmoney\n",
    "another index": "-i OTHER\nflask\nmoney\n",
    "a further index": "--extra-index-url=OTHER\nflask\nmoney\nours\n",
    "the last one of both": "--index-url https://nowhere.example/simple\n-i OTHER\nflask\nours\n",
    "prereleases": "--pre\nflask\n",
    "files": "-f wheels\nflask\nbeside\n",
    "files only": "--no-index\n--find-links=wheels\nflask\nbeside\n",
    "files by URL": "--find-links WHEELS\nbeside\n",
    "files in an included folder": "-r more/more.txt\nflask\n",
    "constraints": "-cpins.txt\nflask\n",
    "markers": "flask\nmoney ; sys_platform == 'win32'\nours ; python_version < '3'\n",
    "a variable": "-i ${OTHER}\nours\n",
}


@pytest.mark.parametrize(
    "name",
    tiered(
        FILES,
        nightly={"nothing", "a further index", "files by URL", "files only", "a variable"},
    ),
)
def test_pip_and_we_choose_the_same(
    name: str, index: LocalIndex, other: LocalIndex, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = maker.top / "wheels"
    for place in (wheels, maker.top / "more/own"):
        place.mkdir(parents=True)
        make_wheel(place, "flask", "30.0")
        make_wheel(place, "beside", "1.0")
        make_wheel(place, "gunicorn", "30.0")
    write(maker.top / "more/more.txt", "-f own\nbeside\n")
    write(maker.top / "pins.txt", "flask<24\nmoney==7\n")
    monkeypatch.setenv("OTHER", other.url)
    text = FILES[name].replace("WHEELS", wheels.as_uri())
    maker.requirements(
        text.replace(" OTHER\n", f" {other.url}\n").replace("=OTHER", f"={other.url}")
    )
    ours = maker.installed()
    assert ours.pop("gunicorn") in ("23.0", "23.1", "30.0")
    assert ours == by_pip(maker.top / "requirements.txt")
    assert ours == {one: version for one, version in maker.installed().items() if one in ours}


@pytest.mark.parametrize(
    "text", ["-i OTHER\nflask\n", "--extra-index-url OTHER\nflask\n", "flask\n",
             "--extra-index-url NEWER\n-i OTHER\nflask\n"],
)  # fmt: skip
def test_an_index_in_a_file_replaces_all_that_are_configured(
    text: str,
    index: LocalIndex,
    other: LocalIndex,
    maker: Maker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "newer").mkdir()
    with serve(tmp_path / "newer") as newer:
        newer.add("flask", "29.0")
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", newer.url)
        maker.requirements(text.replace("OTHER", other.url).replace("NEWER", newer.url))
        found = maker.installed()
        assert {"flask": found["flask"]} == by_pip(maker.top / "requirements.txt")
        assert found["flask"] == ("23.5" if "-i" in text.split() else "29.0")


def test_hosts_fetch_files_of_an_index_that_only_the_files_name(
    index: LocalIndex, other: LocalIndex, maker: Maker
) -> None:
    maker.requirements(f"--extra-index-url {other.url}\nflask\nmoney\nours\n")
    lines = [line for line in maker.lock().text.splitlines() if "--hash" not in line]
    address = f"http://127.0.0.1:{other.port}/files/ours-2.0-py3-none-any.whl"
    assert f"ours @ {address} \\" in lines
    assert "money==1.0 \\" in lines, "hosts have their own way to it"


def test_what_needs_a_password_is_fetched_here(
    index: LocalIndex, other: LocalIndex, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "se-cret")
    other.credentials = "me:se-cret"
    address = f"http://me:${{TOKEN}}@127.0.0.1:{other.port}/simple"
    maker.requirements(f"flask\nours\n--extra-index-url {address}\n")
    lock = maker.lock()
    assert [one.name for one in lock.wheels] == ["flask", "gunicorn", "ours"]
    state = maker.top.parent / "state"
    kept = [path for path in state.rglob("*") if path.is_file()]
    assert not any(b"se-cret" in path.read_bytes() for path in kept)


def test_the_index_of_the_settings_wins_over_that_of_a_file(
    index: LocalIndex, other: LocalIndex, maker: Maker
) -> None:
    maker.requirements(f"-i {other.url}\n-f ./wheels\nflask\n")
    assert maker.installed(index={"url": index.url})["flask"] == "23.0"
    assert f"requirements.txt:1: {other.url} is ignored: the settings name an index" in maker.notes


def sdist(index: LocalIndex, name: str, version: str) -> None:
    """Publish a source distribution."""
    folder = package(index.folder / f"{name}-{version}", name)
    write(
        folder / "pyproject.toml", (folder / "pyproject.toml").read_text().replace("1.0", version)
    )
    write(folder / "PKG-INFO", f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n")
    path = index.folder / f"{folder.name}.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        packed.add(folder, folder.name)
    index.pages[name] += f'<a href="/files/{path.name}">{path.name}</a><br>\n'


@pytest.mark.parametrize("text", ["--no-binary money\nmoney\n", "money --no-binary money\n"])
def test_no_binary_is_for_hosts_too(text: str, index: LocalIndex, maker: Maker) -> None:
    sdist(index, "money", "1.0")
    maker.requirements(f"flask\n{text}")
    lock = maker.lock().text
    assert "/files/money-1.0.tar.gz" in lock
    assert "/files/flask" not in lock
    files = [one["download_info"]["url"] for one in asked_of_pip(maker.top / "requirements.txt")]
    assert any(file.endswith("/files/money-1.0.tar.gz") for file in files)


@pytest.mark.parametrize("tag", ["cp311-cp311-manylinux_2_28_x86_64", "cp311-cp311-win_amd64"])
def test_a_given_wheel_must_fit_the_host(tag: str, index: LocalIndex, maker: Maker) -> None:
    wheel = make_wheel(maker.top, "beside", "1.0")
    name = f"beside-1.0-{tag}.whl"
    wheel.rename(maker.top / name)
    for line in (f"./{name}", f"beside @ {(maker.top / name).as_uri()}"):
        maker.requirements(f"flask\n{line}\n")
        if "linux" in tag:
            assert maker.installed()["beside"] == "1.0"
        else:
            with pytest.raises(BuildError, match=r"requirements\.txt:2: beside: .*win_amd64"):
                maker.lock()


def test_only_binary_leaves_out_what_has_no_wheel(index: LocalIndex, maker: Maker) -> None:
    index.pages["late"] = ""
    sdist(index, "late", "2.0")
    index.add("late", "1.0")
    maker.requirements("--only-binary :all:\nlate\n")
    assert maker.installed()["late"] == "1.0"


def test_constraints_of_pips_configuration(
    index: LocalIndex, maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add("flask", "22.0")
    write(tmp_path / "all.txt", "flask==22.0\n")
    write(tmp_path / "pip.conf", f"[global]\nconstraint = {tmp_path}/all.txt\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    maker.requirements("flask\n")
    assert maker.installed()["flask"] == "22.0"
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "gone.txt"))
    with pytest.raises(BuildError, match=r"constraint in pip's configuration: .*gone\.txt"):
        maker.lock()


def test_remote_files(index: LocalIndex, other: LocalIndex, maker: Maker) -> None:
    write(other.folder / "base.txt", "-c pins.txt\nflask\n")
    write(other.folder / "pins.txt", "flask==23.0\n")
    at = f"http://127.0.0.1:{other.port}/files"
    maker.requirements(f"-r {at}/base.txt\n")
    assert maker.installed()["flask"] == "23.0"
    maker.requirements(f"flask\n-c {at}/gone.txt\n")
    with pytest.raises(BuildError, match=r"requirements\.txt:2: .*gone\.txt cannot be fetched"):
        maker.lock()


def test_a_file_at_an_address_must_have_its_hash(
    index: LocalIndex, other: LocalIndex, maker: Maker
) -> None:
    wheel = make_wheel(other.folder, "money", "0.9")
    line = f"money @ http://127.0.0.1:{other.port}/files/{wheel.name} --hash=sha256:"
    maker.requirements(f"{line}{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    assert maker.installed()["money"] == "0.9"
    maker.requirements(f"{line}{'a' * 64}\n")
    with pytest.raises(BuildError, match=r"requirements\.txt:1: money: the hash of ") as caught:
        maker.lock()
    assert caught.value.slug == "hash-mismatch"


WINDOWS = "pywin32==306"


def test_a_package_for_windows_names_its_line(index: LocalIndex, maker: Maker) -> None:
    wheel = make_wheel(index.folder, "pywin32", "306")
    name = "pywin32-306-cp311-cp311-win_amd64.whl"
    wheel.rename(index.folder / name)
    index.pages["pywin32"] = f'<a href="/files/{name}">{name}</a>'
    maker.requirements(f"flask\n{WINDOWS}\n")
    with pytest.raises(BuildError, match=r"requirements\.txt:2: ") as caught:
        maker.lock()
    assert "Delete this line" in caught.value.hint
    maker.requirements(f"flask\n{WINDOWS} ; sys_platform == 'win32'\n")
    assert set(maker.installed()) == {"flask", "gunicorn"}


def test_what_an_index_lacks_names_its_line(index: LocalIndex, maker: Maker) -> None:
    maker.requirements("flask\nmonye==1.0\n")
    with pytest.raises(BuildError, match=r"requirements\.txt:2: .*monye"):
        maker.lock()


def test_uv_terms(index: LocalIndex, other: LocalIndex, maker: Maker) -> None:
    index.add("late", "1.0", requires=("money==1.0",))
    text = (
        '[project]\nname = "shop"\nversion = "1"\ndependencies = ["flask", "late", "ours"]\n'
        '[tool.uv]\nconstraint-dependencies = ["flask<23.5"]\n'
        'override-dependencies = ["money==0.9"]\n'
        f'[[tool.uv.index]]\nurl = "{other.url}"\n'
    )
    write(maker.top / "pyproject.toml", text)
    index.add("flask", "22.0")
    with pytest.raises(BuildError) as caught:  # uv: the first index that has a name decides
        maker.lock()
    assert caught.value.slug in ("lock-conflict", "index-lacks")
    write(maker.top / "pyproject.toml", text.replace("flask<23.5", "flask>=23.5"))
    found = maker.installed()
    assert (found["flask"], found["money"], found["ours"]) == ("23.5", "0.9", "2.0")
    index.add("money", "0.9")
    text = text.replace("[[tool.uv.index]]", '[[tool.uv.index]]\nname = "o"\nexplicit = true')
    write(maker.top / "pyproject.toml", text)
    with pytest.raises(BuildError, match=r"pyproject\.toml:4: .*ours"):
        maker.lock()


def test_uv_toml_replaces_the_settings_in_pyproject(
    index: LocalIndex, other: LocalIndex, maker: Maker
) -> None:
    """As for uv itself. Its indexes are those of sources too."""
    pyproject = (
        '[project]\nname = "shop"\nversion = "1"\ndependencies = ["ours"]\n'
        '[tool.uv]\nindex-url = "http://127.0.0.1:9/simple"\nresolution = "lowest"\n'
    )
    write(maker.top / "pyproject.toml", pyproject)
    own = f'index-url = "{index.url}"\nexclude-newer = "2030-01-01"\n'
    write(maker.top / "uv.toml", f'{own}[[index]]\nname = "o"\nurl = "{other.url}"\n')
    assert maker.installed()["ours"] == "2.0"
    assert "uv.toml:2: exclude-newer is not used" in maker.notes
    assert "resolution" not in "".join(maker.notes)
    source = '[tool.uv.sources]\nours = { index = "o" }\n'
    write(maker.top / "pyproject.toml", f"{pyproject}{source}")
    write(
        maker.top / "uv.toml", f'{own}[[index]]\nname = "o"\nurl = "{other.url}"\nexplicit = true\n'
    )
    assert maker.installed()["ours"] == "2.0"


def test_pipfile_variables_and_prereleases(
    index: LocalIndex, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add("money", "9.0rc1")
    monkeypatch.setenv("INDEX_HOST", index.url.split("/")[2])
    source = '[[source]]\nname = "own"\nurl = "http://${INDEX_HOST}/simple"\n'
    packages = '[packages]\nmoney = "*"\n'
    write(maker.top / "Pipfile", f"{source}{packages}")
    before = maker.installed()["money"]
    write(maker.top / "Pipfile", f"{source}{packages}[pipenv]\nallow_prereleases = true\n")
    assert (before != "9.0rc1", maker.installed()["money"]) == (True, "9.0rc1")
