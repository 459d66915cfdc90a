"""The first code that runs on the host: imports the rest of the bundle from memory.

The operator's side sends this file's source inside the bundle, so it must not
import anything of `cartwheel` before `run` has installed the importer.
"""

from __future__ import annotations

import io
import marshal
import sys
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Dict, Iterable, Optional, Sequence

# As in layout.py, which cannot be imported yet. Only root writes below it.
_LIB = Path("/usr/local/lib/cartwheel")
_UNCHECKED_HASH = (1).to_bytes(4, "little")  # PEP 552


class MemoryImporter(MetaPathFinder, InspectLoader):
    """Imports `cartwheel.host` and all below it from their sources (full name -> source).

    `get_source` is what tracebacks ask for lines (linecache). What an application's installed copy
    (one of `copies`) has compiled from the same source is not compiled again.
    """

    def __init__(self, modules: Dict[str, str], copies: Iterable[Path] = ()) -> None:
        self._sources = {"cartwheel": "", **modules}
        self._packages = {name.rpartition(".")[0] for name in self._sources}
        self._copies = list(copies)

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
        for number, copy in enumerate(self._copies):
            found = self._compiled(copy, fullname)
            if found is not None:
                self._copies.insert(0, self._copies.pop(number))  # it has the next one too
                return found
        code: CodeType = compile(
            self._sources[fullname], _shown(fullname), "exec", dont_inherit=True
        )
        return code

    def _compiled(self, copy: Path, fullname: str) -> Optional[CodeType]:
        """What the copy has compiled from exactly this source, or None."""
        file = fullname.replace(".", "/") + ("/__init__.py" if self.is_package(fullname) else ".py")
        expected = MAGIC_NUMBER + _UNCHECKED_HASH + source_hash(self._sources[fullname].encode())
        try:
            found = Path(cache_from_source(str(copy / file))).read_bytes()
            if found[: len(expected)] != expected:
                return None
            code: CodeType = marshal.loads(found[len(expected) :])  # noqa: S302 - root's own file
        except (OSError, EOFError, ValueError, TypeError):  # not there, or damaged
            return None
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
    importer = MemoryImporter(dict(bundle["modules"]), _LIB.glob("[!.]*/current"))
    sys.meta_path.insert(0, importer)
    from cartwheel.host.session import server

    return server.main(source, out_fd)
