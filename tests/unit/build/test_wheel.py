from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from cartwheel.build.chosen import choose
from cartwheel.build.private import Privacy
from cartwheel.build.products import Artifact, Platform
from cartwheel.build.source import Source
from cartwheel.build.wheel import check_wheel_fits, normalise_wheel, verify_wheel
from cartwheel.errors import BuildError
from tests.build.indexes import make_wheel

BOOKWORM = Platform("3.11.2", "glibc", "2.36", "x86_64")
ALPINE = Platform("3.12.1", "musl", "1.2", "aarch64")


def rewrite(
    wheel: Path, target: Path, change: dict[str, bytes | None], extra: dict[str, bytes]
) -> Path:
    """A copy of a wheel with other content under an unchanged RECORD."""
    target.mkdir(exist_ok=True)
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(target / wheel.name, "w") as new:
        for entry in old.infolist():
            content = change.get(entry.filename, old.read(entry))
            if content is not None:
                new.writestr(entry.filename, content)
        for name, content in extra.items():
            new.writestr(name, content)
    return target / wheel.name


def test_a_good_wheel_passes(tmp_path: Path) -> None:
    metadata = verify_wheel(make_wheel(tmp_path, "shop", "1.0", ("flask",), python=">=3.9"))
    assert (metadata.name, metadata.version, metadata.requires_dist) == ("shop", "1.0", ("flask",))


@pytest.mark.parametrize(
    ("change", "extra", "says"),
    [
        ({"shop/__init__.py": b"evil = 1\n"}, {}, "the hash of shop/__init__.py differs"),
        ({"shop/__init__.py": None}, {}, "shop/__init__.py is in RECORD but not"),
        ({}, {"shop/more.py": b""}, "shop/more.py is not in RECORD"),
        ({}, {"../../etc/cron.d/x": b""}, "is outside of the wheel's folder"),
        ({"shop-1.0.dist-info/METADATA": None}, {}, ".dist-info"),
    ],
)
def test_a_tampered_wheel_is_refused(
    tmp_path: Path, change: dict[str, bytes | None], extra: dict[str, bytes], says: str
) -> None:
    wheel = rewrite(make_wheel(tmp_path, "shop", "1.0"), tmp_path / "bad", change, extra)
    with pytest.raises(BuildError) as caught:
        verify_wheel(wheel)
    assert caught.value.slug == "wheel-corrupt"
    assert says in caught.value.message


def test_every_cut_and_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "shop", "1.0")
    content = wheel.read_bytes()
    for length in range(0, len(content), 37):
        wheel.write_bytes(content[:length])
        with pytest.raises(BuildError, match="damaged"):
            verify_wheel(wheel)
    with zipfile.ZipFile(make_wheel(tmp_path, "shop", "1.0")) as archive:
        start = archive.infolist()[0].header_offset + 30 + len("shop/__init__.py")
    for place in range(start, start + 10):
        wheel.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        with pytest.raises(BuildError, match="damaged"):
            verify_wheel(wheel)


def test_a_name_that_differs_from_its_metadata_is_refused(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "shop", "1.0")
    other = wheel.rename(tmp_path / "shop-2.0-py3-none-any.whl")
    with pytest.raises(BuildError, match=r"its METADATA is that of shop 1\.0"):
        verify_wheel(other)


def test_normalising_forgets_order_times_and_modes(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "shop", "1.0")
    shuffled = tmp_path / "shuffled"
    shuffled.mkdir()
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(shuffled / wheel.name, "w") as new:
        for number, entry in enumerate(reversed(old.infolist())):
            other = zipfile.ZipInfo(entry.filename, (2020, 1, 1 + number, 0, 0, 0))
            other.external_attr = 0o664 << 16
            new.writestr(other, old.read(entry))
    out = tmp_path / "out"
    out.mkdir()
    normal, references = normalise_wheel(shuffled / wheel.name, out)
    assert (normal.read_bytes(), references) == (wheel.read_bytes(), [])


def test_normalising_forgets_addresses(tmp_path: Path) -> None:
    """They may be of the folder that it was built in, or hold a password."""
    said = "money[fast] @ git+https://me:se-cret@git.example/money@v1 ; extra == 'x'"
    out = tmp_path / "out"
    out.mkdir()
    wheel = make_wheel(tmp_path, "shop", "1.0", ("flask>=3", said))
    normal, references = normalise_wheel(wheel, out)
    assert references == [said]
    assert verify_wheel(normal).requires_dist == ("flask>=3", 'money[fast]; extra == "x"')
    assert b"se-cret" not in normal.read_bytes()


@pytest.mark.parametrize(
    ("tag", "platform", "fits"),
    [
        ("py3-none-any", BOOKWORM, True),
        ("py2.py3-none-any", ALPINE, True),
        ("cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64", BOOKWORM, True),
        ("cp311-cp311-manylinux_2_36_x86_64", BOOKWORM, True),
        ("cp311-cp311-manylinux_2_37_x86_64", BOOKWORM, False),
        ("cp39-abi3-manylinux2014_x86_64", BOOKWORM, True),
        ("cp312-abi3-manylinux2014_x86_64", BOOKWORM, False),
        ("cp310-cp310-manylinux2014_x86_64", BOOKWORM, False),
        ("cp311-cp311-manylinux2014_aarch64", BOOKWORM, False),
        ("cp311-cp311-linux_x86_64", BOOKWORM, True),
        ("cp311-cp311-macosx_11_0_arm64", BOOKWORM, False),
        ("cp311-cp311-win_amd64", BOOKWORM, False),
        ("cp312-cp312-musllinux_1_2_aarch64", ALPINE, True),
        ("cp312-cp312-manylinux2014_aarch64", ALPINE, False),
        ("py3-none-musllinux_1_1_aarch64", ALPINE, True),
    ],
)
def test_which_wheels_fit(tmp_path: Path, tag: str, platform: Platform, fits: bool) -> None:
    wheel = make_wheel(tmp_path, "shop", "1.0").rename(tmp_path / f"shop-1.0-{tag}.whl")
    artifact = Artifact("shop", "1.0", wheel, "", "")
    if fits:
        check_wheel_fits(artifact, platform)
        return
    with pytest.raises(BuildError) as caught:
        check_wheel_fits(artifact, platform)
    assert caught.value.slug == "wheel-platform"


def test_a_wheel_for_another_python_is_refused(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "shop", "1.0", python=">=3.12")
    with pytest.raises(BuildError, match=r"needs Python >=3.12; the host has 3.11.2"):
        check_wheel_fits(Artifact("shop", "1.0", wheel, "", ""), BOOKWORM)


def test_files_that_the_back_end_left_out_are_added(tmp_path: Path) -> None:
    """`app.include` names them; what the back end took stays as it made it."""
    wheel = make_wheel(tmp_path, "shop", "1.0", ())
    manage = tmp_path / "manage.py"
    manage.write_text("print(1)\n")
    out = tmp_path / "out"
    out.mkdir()
    added = (("manage.py", manage), ("shop/__init__.py", manage))
    normal, _references = normalise_wheel(wheel, out, added)
    verify_wheel(normal)
    with zipfile.ZipFile(normal) as archive, zipfile.ZipFile(wheel) as before:
        assert archive.read("manage.py") == b"print(1)\n"
        assert archive.read("shop/__init__.py") == before.read("shop/__init__.py")


def test_what_app_include_adds_to_a_package(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "src/shop/__init__.py", "migrations/env.py", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    privacy = Privacy(include=("migrations/", "src/shop/"))
    chosen = choose(Source("project", tmp_path), privacy)
    assert [name for name, _ in chosen.carried] == ["migrations/env.py", "shop/__init__.py"]
    assert len(chosen.build) == 4
