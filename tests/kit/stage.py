"""A test project, a host that serves it, and a visitor who keeps requesting its site.

`Stage.attempt` runs the real `fab` while the visitor requests the site, and returns what a person
would see and what the command left on the host.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cartwheel.errors import CATALOGUE
from cartwheel_lab import LabHost
from tests.kit import apps
from tests.kit.project import CHECKOUT, Done, Project, fabfile
from tests.kit.visitors import one_visitor

FAB_SECONDS = 240.0
SETTLED_SECONDS = 10.0

Settings = Mapping[str, Any]

# Complete, but quick: one worker, short waits.
QUICK: Settings = {
    "app": {"name": "shop", "source": "app", "entry": "app:app"},
    "tests": {"skip": True},
    "gunicorn": {"workers": 1, "threads": 4},
    "health": {"deadline_seconds": 4},
    "deploy": {"drain_seconds": 2, "probation_seconds": 0.5},
}


@dataclass
class Attempt:
    """One run of `fab`: its words, and how the host looked before and after."""

    code: int
    out: str
    err: str
    before: Footprint
    after: Footprint
    seconds: float

    @property
    def errors(self) -> list[str]:
        """The lines of standard error that have an error number."""
        return [line for line in self.err.splitlines() if re.search(r"\[CW\d+\]$", line)]

    def assert_told(self, slug: str, code: int, says: Sequence[str]) -> None:
        """Exactly one error line, of this kind, with these words; no traceback of Cartwheel."""
        shown = f"exit {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"
        assert len(self.errors) == 1, shown
        line = self.errors[0]
        assert line.endswith(f"[CW{CATALOGUE[slug].number}]"), shown
        missing = [word for word in says if word not in line]
        assert not missing, f"{missing} is not in the line\n{shown}"
        assert self.code == code, shown
        text = self.out + self.err
        assert not re.search(r'File "[^"]*cartwheel/', text), shown
        assert not re.search(r"\bUnexpected \w+: ", text), shown
        print(line)

    def assert_untouched(self) -> None:
        """The host has not changed, apart from its history and its logs."""
        assert self.after.files == self.before.files, _difference(self.before, self.after)
        assert self.after.units == self.before.units

    @property
    def new_lines(self) -> list[dict[str, Any]]:
        """The new lines of the host's journal."""
        return self.after.journal[len(self.before.journal) :]

    @property
    def new_logs(self) -> frozenset[str]:
        return self.after.logs - self.before.logs


@dataclass(frozen=True)
class Footprint:
    """Every place on a host where a failed attempt might leave something."""

    files: frozenset[str]
    units: frozenset[str]
    journal: list[dict[str, Any]]
    logs: frozenset[str]


def _difference(before: Footprint, after: Footprint) -> str:
    lines = [f"- {line}" for line in sorted(before.files - after.files)]
    lines += [f"+ {line}" for line in sorted(after.files - before.files)]
    return "\n".join(lines[:60])


# Paths, kinds, modes, owners and link targets; also contents of files that the host reads.
_LOOK = """set +e
find /srv /etc/nginx /etc/systemd/system /etc/logrotate.d /tmp /var/tmp /var/lib/cartwheel \
  /usr/local/lib/cartwheel/pip /run/cartwheel \
  \\( -path '/srv/*/cache/pip' -o -path '/srv/*/releases/*/venv' -o -name __pycache__ \\) -prune \
  -o ! -name journal.jsonl ! -name '*.lock' ! -name '.lock.*' \
  -printf 'path %p %y %m %u:%g %l\\n' 2>/dev/null
find /etc/nginx /etc/systemd/system /var/lib/cartwheel -type f -exec sha256sum {} + 2>/dev/null \
  | sed 's/^/sum /'
ls -d /srv/*/releases/*/venv 2>/dev/null | sed 's/^/path /'
for unit in $(systemctl list-units --all --plain --no-legend 'cartwheel-*' | cut -d' ' -f1); do
  echo "unit $unit $(systemctl show -p ActiveState -p MainPID -p NRestarts $unit | tr '\\n' ' ')"
done
find /var/log/cartwheel -type f 2>/dev/null | sed 's/^/log /'
cat /srv/shop/journal.jsonl 2>/dev/null | sed 's/^/line /'
true
"""


@dataclass
class Stage:
    """A project folder, and the host of its application."""

    host: LabHost
    folder: Path
    settings: Settings = field(default_factory=lambda: QUICK)
    env: Mapping[str, str] = field(default_factory=dict)
    versions: int = 0

    def __post_init__(self) -> None:
        (self.folder / "config").mkdir(parents=True, exist_ok=True)
        (self.folder / "fabfile.py").write_text(fabfile(CHECKOUT))
        self.configure()

    # -- the project

    def configure(self, **differences: Settings) -> None:
        """Write config/deploy.toml: the stage's settings with these tables' differences."""
        merged = {name: dict(table) for name, table in self.settings.items()}
        for name, table in differences.items():
            merged[name] = {**merged.get(name, {}), **table}
        (self.folder / "config" / "deploy.toml").write_text(_toml(merged))

    def app(self, source: str, requirements: str = "") -> None:
        folder = self.folder / "app"
        folder.mkdir(exist_ok=True)
        (folder / "app.py").write_text(source)
        (folder / "requirements.txt").write_text(requirements)

    def forget_data(self) -> None:
        """Remove files that a case added to the application."""
        for path in (self.folder / "app").iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.suffix == ".bin":
                path.unlink()

    def next_version(self) -> str:
        """Write a working application that was never deployed before; returns its version."""
        self.versions += 1
        version = f"v{self.versions}"
        self.app(apps.plain(version))
        return version

    # -- running `fab`

    def fab(self, *words: str, host: str = "", env: Mapping[str, str] = {}) -> Attempt:
        """Run `fab WORDS -H HOST` as a person would."""
        before = self.look()
        started = time.monotonic()
        done = self.run(*words, "-H", host or self.host.name, env=env)
        seconds = time.monotonic() - started
        return Attempt(done.code, done.out, done.err, before, self._settled(before), seconds)

    def run(self, *words: str, env: Mapping[str, str] = {}) -> Done:
        project = Project(self.folder, {**self.env, **env})
        return project.fab(*words, code=None, timeout=FAB_SECONDS)

    def attempt(self, *words: str, host: str = "", env: Mapping[str, str] = {}) -> Attempt:
        """Run `fab` while somebody visits the site; the live release must not be affected."""
        serving = self.body()
        with one_visitor(self.host) as visitor:
            attempt = self.fab(*words, host=host, env=env)
        visitor.assert_served_by({serving})
        return attempt

    def deploy_well(self) -> str:
        """The next plain `fab deploy` of a good version succeeds."""
        version = self.next_version()
        self.configure()
        attempt = self.fab("deploy")
        assert attempt.code == 0, attempt.out + attempt.err
        assert self.body() == version
        return version

    # -- reading the host

    def body(self) -> str:
        return self.host.sh("curl -sS --max-time 10 http://127.0.0.1/")

    def look(self) -> Footprint:
        lines = self.host.sh(_LOOK).splitlines()
        kinds: dict[str, list[str]] = {}
        for line in lines:
            kind, _, rest = line.partition(" ")
            kinds.setdefault(kind, []).append(rest)
        return Footprint(
            files=frozenset(kinds.get("path", []) + kinds.get("sum", [])),
            units=frozenset(kinds.get("unit", [])),
            journal=[json.loads(line) for line in kinds.get("line", [])],
            logs=frozenset(kinds.get("log", [])),
        )

    def _settled(self, before: Footprint) -> Footprint:
        """The host's footprint after systemd has removed the session's unit."""
        end = time.monotonic() + SETTLED_SECONDS
        while True:
            seen = self.look()
            busy = [unit for unit in seen.units if unit.startswith("cartwheel-session-")]
            if not busy or time.monotonic() > end:
                return seen
            time.sleep(0.05)


def _toml(tables: Settings) -> str:
    """Plain values and tables as TOML; JSON's strings and lists are valid TOML."""
    lines: list[str] = []
    for name, table in tables.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {_value(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)
