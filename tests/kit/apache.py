"""A folder with a configuration of Apache; a real Apache tests and reads it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from textwrap import dedent

from cartwheel.host.web import apache_config
from cartwheel.host.web.apache_config import MODULES, Configuration

PROGRAM = shutil.which("apache2") or "/usr/sbin/apache2"

# As in Debian's, the host's own sites come before Cartwheel's.
_MAIN = """\
ServerRoot {folder}
PidFile {folder}/apache2.pid
ErrorLog {folder}/error.log
ServerName localhost
Listen 80
LoadModule mpm_{model}_module {modules}/mod_mpm_{model}.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule macro_module {modules}/mod_macro.so
IncludeOptional sites/*.conf
IncludeOptional cartwheel/*.conf
"""


class Apache:
    """Its files: `main`, and sites in the folders `sites` (the host's own) and `cartwheel`."""

    def __init__(self, folder: Path, model: str = "event") -> None:
        self.folder = folder
        self.main = folder / "apache2.conf"
        self.main.write_text(_MAIN.format(folder=folder, model=model, modules=MODULES))
        for name in ("sites", "cartwheel"):
            (folder / name).mkdir()

    def site(self, name: str, text: str, folder: str = "sites") -> Path:
        path = self.folder / folder / f"{name}.conf"
        path.write_text(dedent(text) + "\n")
        return path

    @property
    def command(self) -> tuple[str, ...]:
        """`apache_config.COMMAND` for this folder."""
        return (PROGRAM, "-f", str(self.main), *apache_config.COMMAND[1:])

    def test(self) -> str:
        """What it says about the configuration, warnings too."""
        done = subprocess.run(
            [PROGRAM, "-f", str(self.main), "-t"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        return done.stdout + done.stderr

    def ask(self) -> Configuration:
        done = subprocess.run(self.command, capture_output=True, text=True, check=False, timeout=30)
        return apache_config.read(done.stdout, self.folder / "cartwheel")
