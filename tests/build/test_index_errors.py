"""What a broken or incomplete mirror looks like: one clear line, from real tools' real output."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cartwheel.build.artifact import build_app
from cartwheel.build.index import access_for
from cartwheel.build.lock import lock_for, pins
from cartwheel.build.order import Order
from cartwheel.build.pip_wheel import pip_wheel
from cartwheel.build.tool import run_tool
from cartwheel.build.uv_wheel import uv_wheel
from cartwheel.errors import BuildError
from cartwheel.events import silent
from cartwheel.hidden import Hidden
from cartwheel.host.release.pip_output import classify_pip_output
from cartwheel.process_env import of_tools
from tests.build.conftest import BOOKWORM, Heard, settings_for
from tests.build.indexes import LocalIndex, make_wheel
from tests.kit.ports import free_port
from tests.kit.tiers import tiered

pytestmark = [pytest.mark.build, pytest.mark.usefixtures("lonely")]


def lock(index_url: str, requires: tuple[str, ...], tmp_path: Path, **table: object) -> str:
    wheel = make_wheel(tmp_path, "shop", "1.0", (*requires, "gunicorn"))
    settings = settings_for(wheel, index={"url": index_url, **table})
    order = Order(settings, tmp_path, tmp_path / "state", silent)
    artifact = build_app(order)
    if "username" in table:
        order = replace(order, index_password=Hidden("sekrit"))
    return lock_for(order, artifact, BOOKWORM).text


def test_the_lock_has_everything_and_never_asks_for_the_application(
    index: LocalIndex, tmp_path: Path
) -> None:
    index.add("gunicorn", "23.0")
    index.add("werk", "1.0", ("shop",))  # a dependency that depends back on the application
    index.add("flasky", "2.0", ("werk>=1",))
    assert pins(lock(index.url, ("flasky",), tmp_path)) == {
        "flasky": "2.0",
        "gunicorn": "23.0",
        "werk": "1.0",
    }
    assert not [path for path in index.asked if "shop" in path]


def test_a_mirror_that_is_down_is_named_without_credentials(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/simple"
    with pytest.raises(BuildError) as caught:
        lock(url, (), tmp_path, username="reader")
    assert caught.value.slug == "index-unreachable"
    assert caught.value.message == f"{url} does not answer (connection refused) for gunicorn"
    assert "sekrit" not in caught.value.message + caught.value.detail


def test_a_mirror_that_lacks_a_package(index: LocalIndex, tmp_path: Path) -> None:
    index.add("gunicorn", "23.0")
    with pytest.raises(BuildError) as caught:
        lock(index.url, ("flasky",), tmp_path)
    assert caught.value.slug == "index-lacks"
    assert caught.value.message == f"{index.url} has no flasky"


def test_a_mirror_that_lacks_a_version(index: LocalIndex, tmp_path: Path) -> None:
    index.add("gunicorn", "23.0")
    index.add("flasky", "1.0")
    with pytest.raises(BuildError) as caught:
        lock(index.url, ("flasky==9",), tmp_path)
    assert caught.value.slug == "index-lacks"
    assert index.url in caught.value.message
    assert "flasky==9" in caught.value.message


def test_requirements_that_contradict_each_other(index: LocalIndex, tmp_path: Path) -> None:
    index.add("gunicorn", "23.0")
    index.add("werk", "1.0")
    index.add("werk", "2.0")
    index.add("flasky", "1.0", ("werk>=2",))
    with pytest.raises(BuildError) as caught:
        lock(index.url, ("flasky", "werk<2"), tmp_path)
    assert caught.value.slug == "lock-conflict"
    assert "werk" in caught.value.message
    assert "flasky" in caught.value.message


@pytest.mark.parametrize("status", tiered([401, 403, 500, 503], nightly={403, 503}))
def test_a_mirror_that_refuses(index: LocalIndex, tmp_path: Path, status: int) -> None:
    index.status = status
    with pytest.raises(BuildError) as caught:
        lock(index.url, (), tmp_path)
    assert caught.value.slug == "index-unreachable"
    assert index.url in caught.value.message
    assert str(status) in caught.value.message
    assert "gunicorn" in caught.value.message


def test_credentials_open_the_index_and_stay_out_of_arguments(
    index: LocalIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.credentials = "reader:sekrit"
    index.add("gunicorn", "23.0")
    seen: list[str] = []

    def spy(argv: list[str], **rest: Any) -> object:
        seen.extend(argv)
        return run_tool(argv, **rest)

    monkeypatch.setattr("cartwheel.build.tool.run_tool", spy)
    assert pins(lock(index.url, (), tmp_path, username="reader")) == {"gunicorn": "23.0"}
    assert "compile" in seen
    assert "sekrit" not in " ".join(seen)


def test_the_same_inputs_are_not_resolved_again(index: LocalIndex, tmp_path: Path) -> None:
    index.add("gunicorn", "23.0")
    first = lock(index.url, (), tmp_path)
    asked = len(index.asked)
    assert asked > 0
    index.add("gunicorn", "24.0")
    assert lock(index.url, (), tmp_path) == first
    assert len(index.asked) == asked


def test_a_pinned_hash_of_a_plain_folder_is_honoured(index: LocalIndex, tmp_path: Path) -> None:
    index.add("gunicorn", "23.0")
    index.add("flasky", "1.0")
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "app.py").write_text("app = None\n")
    (plain / "requirements.txt").write_text(f"flasky==1.0 --hash=sha256:{'a' * 64}\n")
    settings = settings_for(plain, index={"url": index.url})
    artifact = build_app(Order(settings, tmp_path, tmp_path / "state", silent))
    with pytest.raises(BuildError) as caught:
        lock_for(Order(settings, tmp_path, tmp_path / "state", silent), artifact, BOOKWORM)
    assert caught.value.slug == "hash-mismatch"
    assert f"{index.url} differ from" in caught.value.message


def test_a_lock_file_of_the_project_decides_versions(index: LocalIndex, tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        index.add("flasky", version)
    index.add("gunicorn", "23.0")
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1.0"\n')
    (project / "uv.lock").write_text(
        '[[package]]\nname = "shop"\nversion = "1.0"\nsource = { editable = "." }\n'
        '[[package]]\nname = "flasky"\nversion = "1.0"\n'
        'source = { registry = "https://x.example/simple" }\n'
    )
    wheel = make_wheel(tmp_path, "shop", "1.0", ("flasky",))
    from_wheel = settings_for(wheel, index={"url": index.url})
    artifact = build_app(Order(from_wheel, tmp_path, tmp_path / "state", silent))
    for source, version in ((wheel, "2.0"), (project, "1.0")):
        settings = settings_for(source, index={"url": index.url})
        order = Order(settings, tmp_path, tmp_path / "state", silent)
        text = lock_for(order, artifact, BOOKWORM).text
        assert pins(text)["flasky"] == version


# --- pip itself, as the hosts run it ---------------------------------------------------


def pip(arguments: list[str], env: dict[str, str], tmp_path: Path) -> tuple[str, str] | None:
    argv = [sys.executable, "-m", "pip", "download", "-d", str(tmp_path / "out"), *arguments]
    done = run_tool(
        argv,
        env=of_tools({"PIP_CONFIG_FILE": "/dev/null", "PIP_RETRIES": "1", **env}),
        cwd=tmp_path,
        deadline_seconds=60,
        emit=silent,
        step="pip",
    )
    assert done.status != 0, done.output
    return classify_pip_output(done.output_text + done.errors_text)


def test_pip_and_a_mirror_that_is_down(tmp_path: Path) -> None:
    place = f"127.0.0.1:{free_port()}/simple"
    found = pip(["flasky"], {"PIP_INDEX_URL": f"http://reader:sekrit@{place}"}, tmp_path)
    assert found == (
        "index-unreachable",
        f"http://{place} does not answer for flasky (connection refused)",
    )


def test_pip_and_a_mirror_that_lacks_a_package(index: LocalIndex, tmp_path: Path) -> None:
    assert pip(["flasky"], {"PIP_INDEX_URL": index.url}, tmp_path) == (
        "index-lacks",
        f"{index.url} has no flasky",
    )


def test_pip_and_a_version_that_is_not_there(index: LocalIndex, tmp_path: Path) -> None:
    index.add("flasky", "1.0")
    assert pip(["flasky==9"], {"PIP_INDEX_URL": index.url}, tmp_path) == (
        "index-lacks",
        f"{index.url} has no flasky==9 (it has 1.0)",
    )


def test_pip_and_a_wrong_hash(index: LocalIndex, tmp_path: Path) -> None:
    index.add("flasky", "1.0")
    (tmp_path / "lock.txt").write_text(f"flasky==1.0 --hash=sha256:{'a' * 64}\n")
    found = pip(["--require-hashes", "-r", "lock.txt"], {"PIP_INDEX_URL": index.url}, tmp_path)
    assert found is not None
    assert found[0] == "hash-mismatch"
    assert found[1].startswith("flasky==1.0 from http://127.0.0.1")


def test_pip_and_a_conflict(index: LocalIndex, tmp_path: Path) -> None:
    index.add("werk", "1.0")
    index.add("flasky", "1.0", ("werk>=2",))
    index.add("werk", "2.0")
    found = pip(["flasky", "werk<2"], {"PIP_INDEX_URL": index.url}, tmp_path)
    assert found == (
        "lock-conflict",
        "The user requested werk<2; flasky 1.0 depends on werk>=2",
    )


def test_pip_and_wrong_credentials(index: LocalIndex, tmp_path: Path) -> None:
    index.credentials = "reader:right"
    index.add("flasky", "1.0")
    url = index.url.replace("//", "//reader:sekrit@")
    found = pip(["flasky"], {"PIP_INDEX_URL": url}, tmp_path)
    assert found == ("index-unreachable", f"{index.url} answers 401 for flasky")


def test_the_pip_for_hosts_comes_by_hash(index: LocalIndex, state: Path, heard: Heard) -> None:
    index.add("pip", "25.3")  # another wheel of that name and version
    with pytest.raises(BuildError) as caught:
        pip_wheel(
            state, heard, access=access_for(settings_for(".", index={"url": index.url}).index)
        )
    assert caught.value.slug == "hash-mismatch"
    assert not list((state / "pip").glob("*")) if (state / "pip").exists() else True


def test_the_uv_for_hosts_comes_by_hash(
    index: LocalIndex, state: Path, tmp_path: Path, heard: Heard
) -> None:
    """From an index that has another one, and from one that has none, nothing is kept."""
    (state / "pip").mkdir(parents=True)
    own = pip_wheel(tmp_path / "own", silent)
    own.rename(state / "pip" / own.name)
    access = access_for(settings_for(".", index={"url": index.url}).index)
    with pytest.raises(BuildError) as caught:
        uv_wheel(BOOKWORM, state, heard, access=access)
    assert caught.value.slug == "index-lacks"
    assert caught.value.message == f"{index.url} has no uv==0.13.9"
    index.add("uv", "0.13.9")
    with pytest.raises(BuildError) as caught:
        uv_wheel(BOOKWORM, state, heard, access=access)
    assert caught.value.slug == "hash-mismatch"
    assert not (state / "uv").exists()
