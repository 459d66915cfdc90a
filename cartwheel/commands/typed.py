"""Commands in messages, as this person has to type them; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# Without the tasks that take neither --app nor --env.
_COMMAND = re.compile(
    r"`fab (?!(?:lab|runs|templates)\.|completion\b|explain\b|config\.(?!show\b))([a-z][a-z.-]*+)"
    r"(?! --(?:app|env)\b)"
)

_TASK = re.compile(r"`fab ([a-z][a-z.-]*)")
AS_THEY_ARE: Mapping[str, str] = {}


@dataclass(frozen=True)
class Typed:
    """What a person typed to choose application, environment and hosts, for commands that they may
    type next."""

    program: str = "fab"
    app: str | None = None
    env: str | None = None
    hosts: tuple[str, ...] = ()
    narrowing: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    """The names that the fabfile gives tasks, by their own, where they differ."""

    @property
    def options(self) -> str:
        """The options for the application and the environment, with a space in front."""
        given = {"--app": self.app, "--env": self.env}
        return "".join(f" {option} {value}" for option, value in given.items() if value)

    def command(self, task: str) -> str:
        """`fab TASK` for the same hosts."""
        named = f" -H {','.join(self.hosts)}" if self.hosts else ""
        narrowed = f" {self.narrowing}" if self.narrowing else ""
        return f"{self.program} {self.names.get(task, task)}{self.options}{named}{narrowed}"

    def in_text(self, text: str) -> str:
        """The text with this program, application and environment in each `fab TASK`."""
        text = _COMMAND.sub(rf"`fab \1{self.options}", text)
        text = _TASK.sub(lambda found: f"`fab {self.names.get(found[1], found[1])}", text)
        return text.replace("`fab ", f"`{self.program} ")
