"""A folder with a configuration of Apache; a real Apache tests and reads it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

from cartwheel.host.system import systemd
from cartwheel.host.web import apache_config
from cartwheel.host.web.apache import Apache as Kind
from cartwheel.host.web.apache_config import MODULES, Configuration
from tests.kit.waiting import until

PROGRAM = shutil.which("apache2") or "/usr/sbin/apache2"

# As in Debian's, the host's own sites come before Cartwheel's.
_MAIN = """\
ServerRoot {folder}
PidFile {folder}/apache2.pid
ErrorLog {folder}/error.log
ServerName localhost
Listen {port}
LoadModule mpm_{model}_module {modules}/mod_mpm_{model}.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule macro_module {modules}/mod_macro.so
User www-data
Group www-data
IncludeOptional sites/*.conf
IncludeOptional cartwheel/*.conf
"""


class Apache:
    """Its files: `main`, and sites in the folders `sites` (the host's own) and `cartwheel`."""

    def __init__(self, folder: Path, model: str = "event", port: int = 80) -> None:
        self.folder = folder
        self.main = folder / "apache2.conf"
        values = {"folder": folder, "model": model, "modules": MODULES, "port": port}
        self.main.write_text(_MAIN.format(**values))
        for name in ("sites", "cartwheel"):
            (folder / name).mkdir()

    def site(self, name: str, text: str, folder: str = "sites") -> Path:
        path = self.folder / folder / f"{name}.conf"
        path.write_text(dedent(text) + "\n")
        return path

    @property
    def command(self) -> tuple[str, ...]:
        """`test_command` for this folder."""
        return (PROGRAM, "-f", str(self.main), *Kind.test_command[1:])

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

    def dump(self) -> str:
        """What the test command prints."""
        done = subprocess.run(self.command, capture_output=True, text=True, check=False, timeout=30)
        return done.stdout

    def ask(self) -> Configuration:
        return apache_config.read(self.dump(), self.folder / "cartwheel")

    @contextmanager
    def running(self) -> Iterator[int]:
        """While it runs: the pid of its main process."""
        program = [PROGRAM, "-f", str(self.main), "-D", "FOREGROUND"]
        with subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as one:
            try:
                until(lambda: bool(systemd.worker_pids(one.pid)), shown="Apache's processes")
                yield one.pid
            finally:
                one.terminate()
                one.wait(10)
