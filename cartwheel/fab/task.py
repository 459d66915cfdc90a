"""The `task` decorator: one call for the whole fleet, long options only."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import invoke

from cartwheel.errors import UsageError
from cartwheel.fab.context import FabContext

Hosts = Literal["required", "optional", "none"]

# The long names of fab's own options (fabric 3.2.3, invoke 2.2.1; a test compares
# them): an option of a task with such a name would shadow or be shadowed by it.
CORE_OPTIONS = frozenset(
    {"collection", "command-timeout", "complete", "config", "connect-timeout", "debug", "dry"}
    | {"echo", "help", "hide", "hosts", "identity", "list", "list-agent-keys", "list-depth"}
    | {"list-format", "no-dedupe", "print-completion-script", "prompt-for-login-password"}
    | {"prompt-for-passphrase", "prompt-for-sudo-password", "pty", "search-root", "ssh-config"}
    | {"version", "warn-only", "write-pyc"}
)


class FleetTask(invoke.Task[Any]):
    """A task that is called once, with all hosts; see `task`."""

    # Any: what invoke passes on, to its own class and to the body.
    def __init__(self, body: Callable[..., int | None], *, hosts: Hosts, **named: Any) -> None:
        super().__init__(body, auto_shortflags=False, **named)
        self.hosts = hosts
        # Its name among Cartwheel's tasks: `lock.hold`. A fabfile may give it another one.
        self.full_name = ""
        # Whether it changes hosts, so that a freeze refuses it.
        self.changing = False
        # The values of its options, for completion: (project, option, words so far).
        self.values: Callable[[Path, str, Sequence[str]], list[str]] = no_values
        _check_options(body, self.help)

    def __deepcopy__(self, _memo: object) -> FleetTask:
        """invoke copies whole collections; nothing changes a task."""
        return self

    # Any: invoke's own.
    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Any]:
        """As invoke's, which takes each option's help away from the task."""
        help = dict(self.help)
        found: list[Any] = super().get_arguments(ignore_unknown_help)
        self.help = help
        return found

    def __call__(self, context: object, *args: Any, **named: Any) -> None:
        """Run the body; a number that is not 0 becomes the exit code."""
        if not isinstance(context, FabContext):
            error = UsageError("not-fab", f"`{self.name}` is a task for `fab`")
            raise invoke.Exit(f"{error}\n  {error.hint}", code=error.exit_code)
        code = self.body(context, *args, **named)
        if code:
            raise invoke.Exit(code=int(code))


def no_values(_project: Path, _option: str, _words: Sequence[str]) -> list[str]:
    """For a task whose options have no known values."""
    return []


def task(
    *,
    help: Mapping[str, str] | None = None,
    hosts: Hosts = "required",
    name: str | None = None,
    positional: Iterable[str] = (),
) -> Callable[[Callable[..., int | None]], FleetTask]:
    """Make a function `(c: FabContext, option=default, ...) -> exit code or None` a task.

    `hosts` says what -H means: "required" (the body calls `c.require_hosts`, which
    falls back to the hosts of the settings), "optional", or "none" (`c.hosts` is empty:
    another task on the same command line may use them). Every option needs a line in
    `help`; a missing or unknown one raises TypeError at import, because it is our mistake.
    """

    def decorate(body: Callable[..., int | None]) -> FleetTask:
        return FleetTask(
            body,
            hosts=hosts,
            help=dict(help or {}),
            name=name,
            positional=list(positional),
        )

    return decorate


def _check_options(body: Callable[..., int | None], help: Mapping[str, str]) -> None:
    # As invoke names them: `out_` is --out.
    parameters = list(inspect.signature(body).parameters)[1:]
    options = [name.strip("_").replace("_", "-") for name in parameters]
    explained = {name.replace("_", "-") for name in help}
    taken = CORE_OPTIONS.intersection(options)
    if taken:
        raise TypeError(f"{body.__name__}: fab itself has the options {sorted(taken)}")
    silent = explained.symmetric_difference(options)
    if silent:
        raise TypeError(f"{body.__name__}: options and help do not match: {sorted(silent)}")
    if not body.__doc__:
        raise TypeError(f"{body.__name__}: `fab --list` needs a first line")
