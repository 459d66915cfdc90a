"""Deploy a release that fails on the seventh of twenty hosts, behind HAProxy, under load.

A canary switches first, then batches of a quarter of the fleet. At the end all hosts serve the old
release, no visitor of HAProxy has noticed anything, and exit code and table are right. Otherwise
the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cartwheel.errors import Exit
from cartwheel.events import silent
from cartwheel_lab import Lab, LabHost
from cartwheel_lab.lab import STATE_VARIABLE
from tests.kit.ending import clean_up_when_ended
from tests.kit.host import current
from tests.kit.shop import new_shop
from tests.kit.visitors import loaded
from tests.lab.test_balancer import HAPROXY, HAPROXY_CONFIG, PEERS, Behind, install_haproxy

SICK = 7  # the seventh host
COMMAND_SECONDS = 1800.0
# All hosts import the application at once, on one machine, under load.
DEADLINE_SECONDS = 30.0
ROLLOUT = ("--canary", "1", "--batch", "25%")


def main(arguments: Sequence[str]) -> int:
    """Set up, deploy a good release, deploy the failing one, judge."""
    clean_up_when_ended()
    parser = argparse.ArgumentParser(prog="bench/rollout", description=__doc__)
    parser.add_argument("--hosts", type=int, default=20)
    wanted = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        lab = Lab(Path(scratch) / "lab", emit=silent)
        os.environ[STATE_VARIABLE] = str(lab.state)
        try:
            broken = run(lab.up(wanted.hosts + 1), Path(scratch))
        finally:
            lab.down()
    print("\n".join([*broken, f"broken: {len(broken)}"]))
    return 1 if broken else 0


def run(hosts: list[LabHost], folder: Path) -> list[str]:
    """All violations."""
    shop = new_shop(folder / "shop")
    shop.settings(deadline_seconds=DEADLINE_SECONDS)
    behind = Behind(hosts, shop)
    behind.use("haproxy")
    behind.code()
    project = behind.shop.project
    project.fab("setup", "--env", "live", timeout=COMMAND_SECONDS)
    servers = "".join(
        f"    server {web.name} {web.address}:{PEERS} check inter 500ms\n" for web in behind.webs
    )
    install_haproxy(behind.balancer, HAPROXY_CONFIG.format(port=HAPROXY, servers=servers))
    project.fab("deploy", "--env", "live", *ROLLOUT, timeout=COMMAND_SECONDS)
    before = behind.releases
    mark = behind.code()
    behind.webs[SICK - 1].path(f"/srv/shop.live/shared/sick-{mark}").touch()
    began = time.monotonic()
    with loaded(behind.balancer, port=HAPROXY, seconds=COMMAND_SECONDS) as visits:
        done = project.fab(
            *("deploy", "--env", "live", "--json", *ROLLOUT), code=None, timeout=COMMAND_SECONDS
        )
    rows = json.loads(done.out.splitlines()[-1])["hosts"]
    told = Counter(row["outcome"] for row in rows)
    sent = sum(visits.result["sent"].values())
    print(
        f"{len(rows)} hosts, {time.monotonic() - began:.0f} s, exit code {done.code}: {dict(told)}"
    )
    print(f"requests failed: {visits.result['failed']} of {sent}", flush=True)
    found = []
    if done.code != Exit.REVERTED:
        said = Counter(row["error"]["message"] for row in rows if row["error"])
        found.append(f"exit code {done.code}: {dict(said.most_common(3))}")
    if behind.releases != before:
        found.append(f"not all serve the old release: {Counter(behind.releases)}")
    serve = {web.name: current(web, "shop.live") for web in behind.webs}
    if {row["host"]: row["serves"] for row in rows} != serve:
        found.append("the table does not name the live release of each host")
    if visits.result["failed"] or visits.result["idle_closed"]:
        found.append(f"visitors noticed: {visits.result['failures'][:3]}")
    if set(behind.states().values()) != {True}:
        found.append("a host is still out of HAProxy")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
