"""What everything that is built for an application has in common."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel.build.index import Access, access_for
from cartwheel.build.private import Privacy, privacy_for
from cartwheel.events import Emit
from cartwheel.hidden import Hidden

if TYPE_CHECKING:
    from cartwheel.settings.named import NamedFile
    from cartwheel.settings.toml_tables import Settings


@dataclass(frozen=True)
class Order:
    """An application to build. `project` is the folder for relative sources, `state` the folder for
    results; `private` files stay out of wheels, like those that the settings name."""

    settings: Settings
    project: Path
    state: Path
    emit: Emit
    index_password: Hidden | None = None
    private: Iterable[NamedFile] = ()

    @functools.cached_property
    def access(self) -> Access:
        """The package indexes."""
        return access_for(self.settings.index, self.index_password)

    def privacy(self, source: Path) -> Privacy:
        """The rules for the files of a source, a folder or a wheel."""
        return privacy_for(self.settings, self.project, source, self.private)
