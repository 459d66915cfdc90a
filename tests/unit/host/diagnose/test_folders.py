"""What is about many files of one folder is one thing."""

from __future__ import annotations

import pytest

from cartwheel.host.diagnose import folders

UPLOADS = "/srv/shop/shared/uploads"


@pytest.mark.parametrize(
    ("paths", "shown"),
    [
        ([f"{UPLOADS}/{number}.bin" for number in range(107)], {f"{UPLOADS}/*"}),
        ([f"{UPLOADS}/*", f"{UPLOADS}/7.bin"], {f"{UPLOADS}/*"}),
        ([f"/tmp/{number}" for number in range(9)], {"/tmp/*"}),
        # Each file has a folder of its own, or some.
        ([f"{UPLOADS}/{number}/x.bin" for number in range(9)], {f"{UPLOADS}/*"}),
        ([f"{UPLOADS}/{one}/{two}/x" for one in "abcd" for two in "abcd"], {f"{UPLOADS}/*"}),
        # A few are named.
        ([f"{UPLOADS}/a/x", "/srv/shop/shared/shop.ini"], None),
        (["", "shop.ini", "/etc/shop.ini", "/etc/x/shop.ini"], None),
        ([f"/srv/{one}/x" for one in "abcdef"], None),
    ],
)
def test_files_of_one_folder(paths: list[str], shown: set[str] | None) -> None:
    assert set(folders.joined(paths).values()) == (shown or set(paths))
