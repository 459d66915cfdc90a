"""From a fabfile, or from nothing, to all of Cartwheel's words."""

from __future__ import annotations

import sys
from typing import Any

import invoke

from cartwheel import __version__, places
from cartwheel.fab.program import bind


def words_for(program: Any) -> invoke.Collection:
    """Make stock `fab` Cartwheel's, and return the words for it: what a fabfile needs."""
    bind(program)
    if places.is_installed():
        from cartwheel.tasks import namespace  # type: ignore[import-not-found]
    else:
        clone = places.own("tasks").parent
        sys.path[:0] = [str(clone), str(clone / "lab")]
        from tasks import namespace
    found: invoke.Collection = namespace
    return found


def main() -> None:
    """`cartwheel`: `fab` with these words where there is no fabfile yet."""
    from fabric.main import program

    program.namespace = words_for(program)
    # What `cartwheel --version` prints. `fab --version` ends before it loads a fabfile.
    program._name, program.version = "Cartwheel", f"{__version__}\nFabric {program.version}"
    program.run()
