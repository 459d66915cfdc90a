"""One call per task for the whole fleet, instead of fabric's one call per host."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import fabric
import invoke

from cartwheel.errors import UsageError
from cartwheel.fab.context import FabContext, hosts_of
from cartwheel.fab.own_tasks import renamed
from cartwheel.fab.task import FleetTask
from cartwheel.hidden import Hidden
from cartwheel.ssh.options import SshOptions


# Any: here fab and invoke have no types of their own.
class FleetCall(invoke.Call):
    """A call whose context is a FabContext instead of fabric's own."""

    def __init__(self, call: invoke.Call, context: FabContext) -> None:
        super().__init__(call.task, called_as=call.called_as, args=call.args, kwargs=call.kwargs)
        self._context = context

    def make_context(self, config: Any) -> Any:  # noqa: ARG002 - invoke calls it so
        return self._context


class FleetExecutor(fabric.Executor):
    """Calls a FleetTask once; other tasks in a fabfile run as fabric runs them."""

    core: Any  # invoke says it may be None; fab always gives one

    def expand_calls(self, calls: Any, apply_hosts: bool = True) -> list[Any]:
        if self.core.remainder:
            # Fabric would run it with host keys unchecked.
            raise UsageError(
                "usage",
                "`-- COMMAND` cannot follow a task",
                hint=f"Use `{self._run_instead()}`.",
            )
        expanded: list[Any] = []
        for each in calls:
            call: Any = invoke.Call(each) if isinstance(each, invoke.Task) else each
            if isinstance(call.task, FleetTask):
                expanded += self.expand_calls(call.pre)
                expanded.append(FleetCall(call, self._context(call)))
                expanded += self.expand_calls(call.post)
            else:
                expanded += super().expand_calls([call], apply_hosts)
        return expanded

    def _context(self, call: Any) -> FabContext:
        args = self.core[0].args
        wanted = call.task.hosts != "none"
        return FabContext(
            task=call.task.full_name or call.called_as or call.task.name,
            hosts=hosts_of(args.hosts.value) if wanted else (),
            project=Path(self.collection.loaded_from or ".").resolve(),
            ssh_options=self._ssh_options(args),
            debug=bool(args.debug.value),
            program=self._program,
            names=renamed(self.collection),
        )

    @property
    def _program(self) -> str:
        """The command to type: only `fab` loads a fabfile."""
        return "fab" if self.collection.loaded_from else "cartwheel"

    def _run_instead(self) -> str:
        hosts = self.core[0].args.hosts.value
        at = ["-H", hosts] if hosts else []
        return shlex.join([self._program, "run", *at, "--command", self.core.remainder])

    def _ssh_options(self, args: Any) -> SshOptions:
        config_path = args["ssh-config"].value
        timeout = args["connect-timeout"].value
        if timeout is not None and timeout < 1:
            raise UsageError("usage", f"--connect-timeout takes seconds, at least 1, not {timeout}")
        prompted = self.config.connect_kwargs
        return SshOptions(
            identities=tuple(Path(name).expanduser() for name in args.identity.value or ()),
            config_path=Path(config_path).expanduser() if config_path else None,
            connect_timeout_seconds=timeout,
            password=_hidden(prompted.get("password")),
            passphrase=prompted.get("passphrase"),
            sudo_password=_hidden(self.config.sudo.password),
        )


def _hidden(value: str | None) -> Hidden | None:
    return None if value is None else Hidden(value)
