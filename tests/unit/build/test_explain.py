"""One clear line from what uv and pip print here."""

from __future__ import annotations

from cartwheel.build.explain import explain_uv
from cartwheel.build.index import Access
from cartwheel.programs import Ended

LACKS = b"""  x Failed to build `systemd-python==235`
  |-> The build backend returned an error
      Package libsystemd was not found in the pkg-config search path.
"""


def test_a_build_that_lacks_a_library_here() -> None:
    error = explain_uv(Ended(1, b"", LACKS), Access())
    assert error.slug == "build-failed"
    assert error.hint == "The build needs libsystemd.pc: install it on this machine."
    compiler = b"error: command 'gcc' failed: No such file or directory"
    error = explain_uv(Ended(1, b"", compiler), Access())
    assert "needs a C compiler: install it on this machine (build-essential" in error.hint
