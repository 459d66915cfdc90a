"""Which of uv's wheels a host gets: one that its machine and its libc run."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.build.products import Platform
from cartwheel.build.uv_wheel import UV_VERSION, uv_wheel_for
from cartwheel.errors import BuildError

ROOT = Path(__file__).resolve().parents[3]


def test_hosts_get_the_version_of_this_machine() -> None:
    assert f"uv=={UV_VERSION} " in (ROOT / "requirements.txt").read_text()


ARM = "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64"


@pytest.mark.parametrize(("libc", "machine", "tags"), [
    (("glibc", "2.36"), "x86_64", "manylinux_2_17_x86_64.manylinux2014_x86_64"),
    (("glibc", "2.17"), "x86_64", "manylinux_2_17_x86_64.manylinux2014_x86_64"),
    (("glibc", "2.31"), "aarch64", ARM),
    (("musl", "1.2"), "aarch64", ARM),
    (("musl", "1.2"), "x86_64", "musllinux_1_1_x86_64"),
    (("glibc", "2.36"), "armv7l", "manylinux_2_17_armv7l.manylinux2014_armv7l"),
    (("glibc", "2.31"), "riscv64", "manylinux_2_31_riscv64"),
])  # fmt: skip
def test_the_wheel_of_a_platform(libc: tuple[str, str], machine: str, tags: str) -> None:
    name, sha256 = uv_wheel_for(Platform("3.11.2", *libc, machine))
    assert name == f"uv-{UV_VERSION}-py3-none-{tags}.whl"
    assert len(sha256) == 64


@pytest.mark.parametrize(("libc", "machine"), [
    (("glibc", "2.12"), "x86_64"), (("glibc", "2.28"), "riscv64"), (("glibc", "2.36"), "sparc64"),
    (("musl", "1.2"), "s390x"), (("glibc", "2.36"), ""),
])  # fmt: skip
def test_a_platform_without_one(libc: tuple[str, str], machine: str) -> None:
    with pytest.raises(BuildError) as caught:
        uv_wheel_for(Platform("3.11.2", *libc, machine))
    assert caught.value.slug == "no-uv"
    assert f"{libc[0]} {libc[1]} on {machine}" in caught.value.message
    assert "pip" in caught.value.hint
