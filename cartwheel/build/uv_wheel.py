"""The uv for hosts: a pinned wheel for each platform, downloaded from the index, with a hash."""

from __future__ import annotations

from pathlib import Path

from cartwheel.build import store
from cartwheel.build.index import Access
from cartwheel.build.pip_wheel import Pinned, pip_wheel
from cartwheel.build.products import Platform
from cartwheel.build.wheel import machine_tags
from cartwheel.errors import BuildError
from cartwheel.events import Emit, Event

# The version that requirements.txt pins for this machine. With a new one come new hashes below;
# tests/build compares them with the index.
UV_VERSION = "0.13.9"
STEP = "uv"

# Platform tags of its wheels (PEP 600, PEP 656), each with the file's SHA-256.
_GLIBC = {
    "x86_64": (
        "manylinux_2_17_x86_64.manylinux2014_x86_64",
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    ),
    "aarch64": (
        "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
        "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
    ),
    "armv7l": (
        "manylinux_2_17_armv7l.manylinux2014_armv7l",
        "16963d19594e18d746a70c7fce82237bde4f2cac4cfcf0ca2b84796fe9d0c6e9",
    ),
    "i686": (
        "manylinux_2_17_i686.manylinux2014_i686",
        "db5c8df7145c21ffea9c0f74e38823bac3af60cbadf0e26b8633f08627b17bab",
    ),
    "ppc64le": (
        "manylinux_2_17_ppc64le.manylinux2014_ppc64le",
        "c5dbdb7c8737cd183a9dce95b39cfd1f3d54ec2a27a1bb58f160293f9ba2c805",
    ),
    "s390x": (
        "manylinux_2_17_s390x.manylinux2014_s390x",
        "a6e845f387e4ed55bb59342957a9179e24a631fcc7668bda3426ae1cef8ed4b9",
    ),
    "riscv64": (
        "manylinux_2_31_riscv64",
        "6b0c7b9f47a5d011939d61e324d3fe18a8bc155d8dd53add738709a92f290a7c",
    ),
}
_MUSL = {
    "x86_64": (
        "musllinux_1_1_x86_64",
        "2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25",
    ),
    "aarch64": _GLIBC["aarch64"],
    "armv7l": (
        "manylinux_2_17_armv7l.manylinux2014_armv7l.musllinux_1_1_armv7l",
        "7ec1e1dd9b6cb335c301afdf877989df384227313981850755a59561f75e4ab8",
    ),
    "i686": (
        "musllinux_1_1_i686",
        "a2ee66fe8b6608e1482ab1bde5799da04705c1cb40324c7f66054ecf46ae6e40",
    ),
}
WHEELS = {"glibc": _GLIBC, "musl": _MUSL}


def uv_wheel_for(platform: Platform) -> tuple[str, str]:
    """(file name, SHA-256) of the wheel that this platform runs.

    Raises BuildError("no-uv") if there is none.
    """
    tags, sha256 = WHEELS[platform.libc].get(platform.machine, ("", ""))
    if not set(machine_tags(platform)).isdisjoint(tags.split(".")):
        return f"uv-{UV_VERSION}-py3-none-{tags}.whl", sha256
    where = f"{platform.libc} {platform.libc_version} on {platform.machine}"
    raise BuildError(
        "no-uv", f"there is no uv {UV_VERSION} for {where}", hint="Set deploy.installer to pip."
    )


def uv_wheel(platform: Platform, state: Path, emit: Emit, *, access: Access) -> tuple[Path, str]:
    """The pinned uv wheel for hosts of this platform, checked by hash, and its SHA-256.

    Raises BuildError: no-uv, index-unreachable, index-lacks, hash-mismatch.
    """
    name, sha256 = uv_wheel_for(platform)
    pinned = Pinned(f"uv=={UV_VERSION}", sha256, state / "uv" / name)
    if not pinned.is_there:
        pip = pip_wheel(state, emit, access=access)
        with store.exclusive(state, STEP, emit):
            if not pinned.is_there:
                emit(Event(STEP, "start", f"fetching {name}"))
                tags = pinned.place.stem.split("-")[-1].split(".")
                with store.scratch(state) as folder:
                    pinned.download(pip, folder, access, emit, STEP, tags)
                emit(Event(STEP, "done", name))
    return pinned.place, sha256
