"""Gives a fabfile, or the `cartwheel` command, all of Cartwheel's tasks."""

from __future__ import annotations

import copy
import sys
from typing import Any

import invoke

from cartwheel import __version__, places
from cartwheel.fab.program import bind


# Any: fab's own program, which `bind` makes another class.
def tasks_for(program: Any) -> invoke.Collection:
    """Make stock `fab` Cartwheel's, and return its tasks: all that a fabfile needs."""
    bind(program)
    if places.is_installed():
        from cartwheel.tasks import namespace  # type: ignore[import-not-found]  # in a wheel
    else:
        clone = places.own("tasks").parent
        sys.path[:0] = [str(clone), str(clone / "lab")]
        from tasks import namespace
    program.cartwheel = namespace
    given: invoke.Collection = copy.deepcopy(namespace)  # a fabfile may change it
    program.given = given
    return given


words_for = tasks_for  # fabfiles that earlier versions wrote import it


def main() -> None:
    """`cartwheel`: `fab` with these tasks, where there is no fabfile yet."""
    from fabric.main import program

    program.namespace = tasks_for(program)
    # What `cartwheel --version` prints. `fab --version` ends before it loads a fabfile.
    program._name, program.version = "Cartwheel", f"{__version__}\nFabric {program.version}"
    program.run()
