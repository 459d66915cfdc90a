"""Build the base trees of the hosts that every run boots, before the tests (`script/test`)."""

from __future__ import annotations

from cartwheel.events import silent
from cartwheel_lab import base, machine
from cartwheel_lab.lab import default_cache

# The packages that `fab setup` installs; most tests are about something else.
READY = "nginx,python3-venv"
# Those that most tests need come first.
TREES = (
    ("bookworm", True, READY),
    ("bookworm", True, ""),
    ("bullseye", True, ""),
    ("trixie", True, ""),
)


def main() -> None:
    for suite, python, extra in TREES:
        base.ensure(
            default_cache(),
            suite,
            python=python,
            extra=extra,
            mirror=machine.mirror(),
            emit=silent,
        )


if __name__ == "__main__":
    main()
