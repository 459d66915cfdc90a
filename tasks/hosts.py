"""Tasks for the hosts themselves."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cartwheel.errors import Exit, UsageError
from cartwheel.terminal.scene import app_task

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.terminal.show import Output


@app_task(
    quiet=True,
    help={"yes": "Trust the key without asking, for scripts that have compared the fingerprint."},
)
def trust(scene: Scene, out: Output, yes: bool = False) -> int:
    """Show a host's key fingerprint; trust it if you agree."""
    from cartwheel.commands.scene import targets
    from cartwheel.ssh import known_hosts
    from cartwheel.ssh.connection import Gateways, fetch_key

    gateways = Gateways()
    found = []
    try:
        for name, target in targets(scene).items():
            key = fetch_key(target, gateways)
            shown = f"{name} ({target.known_as}): {key.kind} {key.fingerprint}"
            trusted = True
            if known_hosts.is_known(target, key):
                out.say(f"{shown} is already trusted")
            elif yes or _agrees(shown, out):
                known_hosts.record(target, key)
                out.say(f"{shown} is now trusted, in {known_hosts.recorded_in(target)}")
            else:
                out.say(f"{name} is not trusted")
                trusted = False
            about = {"host": name, "kind": key.kind, "fingerprint": key.fingerprint}
            found.append({**about, "trusted": trusted})
    finally:
        gateways.close()
        out.put(hosts=found)
    return int(Exit.OK if all(one["trusted"] for one in found) else Exit.FAILED)


def _agrees(shown: str, out: Output) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(
            "usage",
            f"{shown}: this needs a terminal to ask",
            hint="Compare the fingerprint, then use --yes.",
        )
    return out.asked(f"{shown}\nIs this the host's own fingerprint? [y/N] ").lower() == "y"
