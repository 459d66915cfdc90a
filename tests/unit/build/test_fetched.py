"""Archives as sources: what is inside them stays inside, with every Python that we support."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cartwheel.build.fetched import fetched
from cartwheel.build.index import Access
from cartwheel.build.origins import Origin
from cartwheel.errors import BuildError
from cartwheel.events import silent


@pytest.fixture(params=["with a filter", "without one"])
def _python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Python 3.11.0 to 3.11.3 have no filter for archives, and no argument for one."""
    if request.param == "without one":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    yield


def archive(folder: Path, *members: tarfile.TarInfo) -> Origin:
    path = folder / "money-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        for member in members:
            packed.addfile(member, io.BytesIO(b"x" * member.size))
    return Origin("money", "path", str(path), "pyproject.toml:3")


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, int(kind == tarfile.REGTYPE)
    return info


@pytest.mark.usefixtures("_python")
def test_the_only_folder_of_an_archive_is_the_project(tmp_path: Path) -> None:
    folder = member("money-1.0", tarfile.DIRTYPE)
    folder.mode = 0o755
    origin = archive(tmp_path, folder, member("money-1.0/setup.py"))
    with fetched(origin, Access(), silent) as (path, _top):
        assert path.name == "money-1.0"
        assert (path / "setup.py").read_text() == "x"


@pytest.mark.usefixtures("_python")
@pytest.mark.parametrize(
    "bad",
    [
        member("../outside"),
        member("money/../../outside"),
        member("money/link", tarfile.SYMTYPE, "../../outside"),
        member("money/link", tarfile.SYMTYPE, "/etc/passwd"),
        member("money/link", tarfile.LNKTYPE, "../outside"),
        member("money/pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda bad: f"{bad.name}-{bad.linkname}",
)
def test_what_leads_out_is_refused(bad: tarfile.TarInfo, tmp_path: Path) -> None:
    origin = archive(tmp_path, member("money/setup.py"), bad)
    with (
        pytest.raises(
            BuildError, match=r"pyproject.toml:3: money: .* cannot be unpacked"
        ) as caught,
        fetched(origin, Access(), silent),
    ):
        pass
    assert caught.value.slug == "source-unusable"
    assert not list(tmp_path.glob("**/outside"))
