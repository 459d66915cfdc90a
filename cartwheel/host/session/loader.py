"""The first code that runs on the host: imports the rest of the bundle from memory.

The operator's side sends this file's source inside the bundle, so it must not
import anything of `cartwheel` before `run` has installed the importer.
"""

from __future__ import annotations

import io
import sys
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any, Dict, Optional, Sequence


class MemoryImporter(MetaPathFinder, InspectLoader):
    """Imports `cartwheel.host` and all below it from their sources (full name -> source).

    `get_source` is what tracebacks ask for lines (linecache).
    """

    def __init__(self, modules: Dict[str, str]) -> None:
        self._sources = {"cartwheel": "", **modules}
        self._packages = {name.rpartition(".")[0] for name in self._sources}

    def find_spec(
        self,
        fullname: str,
        path: Optional[Sequence[str]] = None,
        target: Optional[ModuleType] = None,
    ) -> Optional[ModuleSpec]:
        if fullname not in self._sources:
            return None
        spec = ModuleSpec(
            fullname, self, origin=_shown(fullname), is_package=self.is_package(fullname)
        )
        spec.has_location = False
        return spec

    def is_package(self, fullname: str) -> bool:
        return fullname in self._packages

    def get_source(self, fullname: str) -> Optional[str]:
        return self._sources.get(fullname)

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(
            self._sources[fullname], _shown(fullname), "exec", dont_inherit=True
        )
        return code

    def sources(self) -> Dict[str, str]:
        """Every module's source by full name, from which the installed copy is made."""
        return dict(self._sources)


def _shown(fullname: str) -> str:
    # linecache does not ask a loader about names like <this>.
    return fullname.replace(".", "/") + ".py"


# Any: the bundle is JSON; its "modules" are sources by full name.
def run(bundle: Dict[str, Any], source: io.BufferedReader, out_fd: int) -> int:
    """Install the importer, then serve until the channel ends. Returns the exit status."""
    importer = MemoryImporter(dict(bundle["modules"]))
    sys.meta_path.insert(0, importer)
    from cartwheel.host.session import server

    return server.main(source, out_fd)
