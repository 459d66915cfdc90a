"""Words about the hosts themselves."""

from __future__ import annotations

import sys

from cartwheel.errors import Exit, UsageError
from cartwheel.events import silent
from cartwheel.fab import FabContext, task


@task(
    help={
        "app": "Which application, where config/apps/ has several.",
        "env": "Which environment: config/environments/NAME.toml.",
        "yes": "Trust without asking, for scripts that have compared the fingerprint themselves.",
    },
)
def trust(c: FabContext, app: str = "", env: str = "", yes: bool = False) -> int:
    """Show a host's key fingerprint and, after asking, remember the key."""
    from cartwheel.run.scene import for_hosts, make_scene, targets
    from cartwheel.ssh import trust as keys
    from cartwheel.ssh.connection import Gateways

    scene = make_scene(
        c.project,
        app=app or None,
        env=env or None,
        hosts=c.hosts,
        ssh_options=c.ssh_options,
        emit=silent,
    )
    scene = for_hosts(scene, c.require_hosts(scene.settings.hosts))
    refused = False
    gateways = Gateways()
    try:
        for name, target in targets(scene).items():
            key = keys.fetch_key(target, gateways)
            shown = f"{name} ({target.known_as}): {key.kind} {key.fingerprint}"
            if keys.is_known(target, key):
                print(f"{shown} is known already")
            elif yes or _agrees(shown):
                keys.record(target, key)
                print(f"{shown} is trusted now, in {keys.recorded_in(target)}")
            else:
                print(f"{name} is not trusted")
                refused = True
    finally:
        gateways.close()
    return int(Exit.FAILED) if refused else int(Exit.OK)


def _agrees(shown: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(
            "usage",
            f"{shown}: nobody is there to ask",
            hint="Compare the fingerprint, then use --yes.",
        )
    return input(f"{shown}\nIs this the host's own fingerprint? [y/N] ").strip().lower() == "y"
