"""A project whose releases differ by their mark, for sites under load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.kit import apps
from tests.kit.project import Project, new_project

# Eight threads, so that slow requests do not delay quick ones.
SETTINGS = """
[app]
name = "shop"
source = "app"
entry = "app:app"

[tests]
skip = true

[health]
deadline_seconds = {deadline_seconds}

[gunicorn]
workers = 2
threads = 8

[deploy]
drain_seconds = {drain_seconds}
probation_seconds = {probation_seconds}
lease_seconds = {lease_seconds}
confirm_seconds = {confirm_seconds}

[env]
{env}
"""


@dataclass
class Shop:
    """The project of a shop; `code` or `settings` make its next release different. `text` is the
    application's code with a mark."""

    project: Project
    marks: int = 0
    text: Callable[[str], str] = apps.busy

    def code(self) -> str:
        """Write new code; returns its mark, which /healthz shows."""
        self.marks += 1
        mark = f"mark{self.marks}"
        self.project.write("app/app.py", self.text(mark))
        return mark

    def settings(
        self,
        env: str = "",
        *,
        drain_seconds: float = 3,
        probation_seconds: float = 0.5,
        lease_seconds: float = 5,
        confirm_seconds: float = 30,
        deadline_seconds: float = 6,
    ) -> None:
        self.project.settings(
            SETTINGS.format(
                env=env,
                drain_seconds=drain_seconds,
                probation_seconds=probation_seconds,
                lease_seconds=lease_seconds,
                confirm_seconds=confirm_seconds,
                deadline_seconds=deadline_seconds,
            )
        )


def new_shop(folder: Path, text: Callable[[str], str] = apps.busy) -> Shop:
    shop = Shop(new_project(folder), text=text)
    shop.settings()
    shop.code()
    return shop
