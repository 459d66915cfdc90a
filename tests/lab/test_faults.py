"""P3, P4: whatever dies, and whenever, a healthy release serves and the next deploy works.

Each fault strikes a deploy of new code at a step that the deploy itself announces. The site
is under load meanwhile (where the host stays up), and nobody may notice.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit.fab import Step, fab
from tests.kit.host import current, journal, main_pids, releases
from tests.kit.shop import Shop, new_shop
from tests.kit.tiers import tiered
from tests.kit.visitors import loaded

pytestmark = pytest.mark.timeout(400)

LEASE_SECONDS = 5.0
BACK_SECONDS = 15.0  # beyond the lease: start, drain and stop, on a busy machine
REPORTED_SECONDS = 15.0
PROBATION_SECONDS = 3.0  # the window between the switch and its confirmation

INSTALLING = ("install", "start")
STARTING = ("start", "start")
SWITCHED = ("traffic", "done")
CONFIRMED = ("drain and prune", "start")


@dataclass
class Site:
    """A host that serves `old`, while a deploy of other code goes wrong."""

    host: LabHost
    shop: Shop
    old: str = ""

    def changed(self) -> None:
        """New code to deploy, and a window in which it can go wrong."""
        self.old = current(self.host, "shop")
        self.shop.code()
        self.shop.settings(probation_seconds=PROBATION_SECONDS, lease_seconds=LEASE_SECONDS)

    def assert_in_order(self, serves: str, seconds: float = LEASE_SECONDS + BACK_SECONDS) -> None:
        """Within this time: `serves` alone runs and answers, nothing is left over."""
        end = time.monotonic() + seconds
        while (wrong := self.wrong(serves)) and time.monotonic() < end:
            time.sleep(0.2)
        assert not wrong, f"{wrong}\n{journal(self.host, 'shop')[-3:]}"
        answer = self.host.sh("curl -sS --fail --max-time 10 http://127.0.0.1/healthz")
        assert json.loads(answer)["version"] == self.mark(serves)

    def mark(self, release: str) -> str:
        path = f"/srv/shop/releases/{release}/venv/lib/python3*/site-packages/app.py"
        return self.host.sh(f"sed -n 's/^MARK = \"\\(.*\\)\"/\\1/p' {path}").strip()

    def wrong(self, serves: str) -> list[str]:
        """Everything that is not as it should be."""
        found: list[str] = []
        look = self.host.sh(_LOOK).splitlines()
        if current(self.host, "shop") != serves:
            found.append(f"serves {current(self.host, 'shop')}")
        running = list(main_pids(self.host, "shop"))
        if len(running) != 1 or f".web.{serves}@" not in running[0]:
            found.append(f"runs {running}")
        return found + look

    def assert_next_deploy_works(self) -> None:
        """No manual step: a plain deploy, and then nothing tells of what went wrong."""
        self.shop.settings()
        self.shop.project.fab("deploy", "-H", self.host.name)
        new = current(self.host, "shop")
        self.assert_in_order(new)
        assert self.mark(new) == f"mark{self.shop.marks}"
        whole = self.host.sh("ls -d /srv/shop/releases/*/release.json").split()
        assert releases(self.host, "shop") == {path.split("/")[4] for path in whole}
        status = self.shop.project.fab("status", "-H", self.host.name, "--json")
        told = json.loads(status.out.splitlines()[-1])["hosts"][0]["answer"]
        assert told["release"] == new
        assert told["healthy"] is True
        assert (told["pending"], told["lock"], told["leftovers"]) == (None, None, [])


# Says a line for everything that a fault left and should not have.
_LOOK = """
test ! -e /srv/shop/pending.json || echo pending
test "$(readlink /srv/shop/current)" = "$(readlink /srv/shop/fallback)" || echo fallback
systemctl list-units --all --plain --no-legend 'cartwheel-session-*' 'cartwheel-*.scope'
systemctl list-units --failed --plain --no-legend
find /srv/shop /etc/systemd/system /etc/nginx /run/cartwheel /usr/local/lib/cartwheel \
  -path '*/venv' -prune -o \\( -name '.*cartwheel-*' -o -name '.gone-*' \\) -print
names='s/^cartwheel-shop\\.web\\.\\(.*\\)@\\.service$/\\1/p'
for name in $(ls /etc/systemd/system | sed -n "$names"); do
  test -d /srv/shop/releases/$name || echo "unit file of $name"
done
pgrep -af '[p]ython3 -I|[p]ip install|[s]ystemd-run' || true
"""


@pytest.fixture(scope="module")
def served(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(module_host, new_shop(tmp_path_factory.mktemp("shop")))
    site.shop.project.fab("setup", "-H", module_host.name)
    site.shop.project.fab("deploy", "-H", module_host.name)
    return site


@pytest.fixture
def site(served: Site) -> Iterator[Site]:
    served.changed()
    yield served
    served.host.restore()


def deploy(site: Site) -> tuple[str, ...]:
    return ("deploy", "-H", site.host.name)


KILLS = list(itertools.product([INSTALLING, STARTING, SWITCHED], [signal.SIGKILL, signal.SIGTERM]))
EVERY_RUN = {(SWITCHED, signal.SIGKILL)}


@pytest.mark.nightly
@pytest.mark.parametrize(
    "how",
    tiered(KILLS, nightly=set(KILLS) - EVERY_RUN),
    ids=lambda how: f"{how[0][0]}-{how[1].name}",
)
def test_the_operator_is_killed_before_the_confirmation(
    site: Site, how: tuple[Step, signal.Signals]
) -> None:
    step, number = how
    with loaded(site.host) as load:
        with fab(site.shop.project, *deploy(site)) as running:
            running.wait_for(step)
            os.killpg(running.process.pid, number)
            code = running.end()
        assert code == (-number if number == signal.SIGKILL else Exit.INTERRUPTED)
        site.assert_in_order(site.old)
    load.assert_nobody_noticed()
    last = journal(site.host, "shop")[-1]
    if step == SWITCHED:
        assert last["result"] == "reverted"
        assert "the connection to the operator was lost" in last["reason"]
    site.assert_next_deploy_works()


def test_the_operator_is_killed_after_the_confirmation(site: Site) -> None:
    """The host drains, stops and prunes without anybody."""
    with loaded(site.host) as load:
        with fab(site.shop.project, *deploy(site)) as running:
            running.wait_for(CONFIRMED)
            os.killpg(running.process.pid, signal.SIGKILL)
            running.end()
        new = current(site.host, "shop")
        assert new != site.old
        site.assert_in_order(new)
    load.assert_nobody_noticed()
    assert journal(site.host, "shop")[-1]["result"] == "confirmed"
    site.assert_next_deploy_works()


@pytest.mark.nightly
@pytest.mark.parametrize("step", [INSTALLING, SWITCHED], ids=lambda step: str(step[0]))
def test_ctrl_c(site: Site, step: Step) -> None:
    """It stops at once, the host is in order when it ends, and it says what serves."""
    with loaded(site.host) as load, fab(site.shop.project, *deploy(site)) as running:
        running.wait_for(step)
        os.kill(running.process.pid, signal.SIGINT)
        asked = time.monotonic()
        assert running.end() == Exit.INTERRUPTED
        assert time.monotonic() - asked < BACK_SECONDS
        site.assert_in_order(site.old, seconds=3)
    load.assert_nobody_noticed()
    assert site.old in running.errors + json.dumps(running.said)
    site.assert_next_deploy_works()


FAULTS: dict[str, Callable[[LabHost], None]] = {
    "cut": LabHost.cut,
    "black-hole": LabHost.black_hole,
}


@pytest.mark.parametrize("fault", tiered(FAULTS, nightly={"cut"}))
def test_the_network_goes_between_switch_and_confirmation(site: Site, fault: str) -> None:
    """It is reported soon, the host goes back by itself, and the report tells the truth."""
    with loaded(site.host) as load, fab(site.shop.project, *deploy(site)) as running:
        running.wait_for(SWITCHED)
        struck = time.monotonic()
        FAULTS[fault](site.host)
        lost = running.wait_for(("switch", "failed"), REPORTED_SECONDS + 1)
        assert lost["heard"] - struck < REPORTED_SECONDS
        site.assert_in_order(site.old)
        site.host.restore()
        assert running.end() == Exit.REVERTED
    load.assert_nobody_noticed()
    told = running.result["hosts"][0]
    assert (told["outcome"], told["serves"]) == ("reverted", site.old)
    assert journal(site.host, "shop")[-1]["result"] == "reverted"
    site.assert_next_deploy_works()


@pytest.mark.nightly
def test_the_network_stays_away(site: Site) -> None:
    """Nothing is claimed that is not known."""
    with loaded(site.host) as load, fab(site.shop.project, *deploy(site)) as running:
        running.wait_for(SWITCHED)
        site.host.cut()
        assert running.end() == Exit.ATTENTION
    load.assert_nobody_noticed()
    told = running.result["hosts"][0]
    assert (told["outcome"], told["serves_known"]) == ("attention", False)
    site.host.restore()
    site.assert_in_order(site.old)
    site.assert_next_deploy_works()


@pytest.mark.nightly
def test_the_network_goes_while_installing(site: Site) -> None:
    with loaded(site.host) as load, fab(site.shop.project, *deploy(site)) as running:
        running.wait_for(INSTALLING)
        site.host.cut()
        assert running.end() == Exit.FAILED
        site.assert_in_order(site.old)
    load.assert_nobody_noticed()
    site.host.restore()
    site.assert_next_deploy_works()


@pytest.mark.parametrize(
    "step", tiered([STARTING, SWITCHED], nightly={STARTING}), ids=lambda step: str(step[0])
)
def test_the_host_side_is_killed(site: Site, step: Step) -> None:
    """P4: nobody of that session is left; what systemd starts after it goes back."""
    with loaded(site.host) as load, fab(site.shop.project, *deploy(site)) as running:
        running.wait_for(step)
        site.host.sh("systemctl kill --kill-who=main --signal=KILL 'cartwheel-session-shop-*'")
        code = running.end()
        site.assert_in_order(site.old)
    load.assert_nobody_noticed()
    told = running.result["hosts"][0]
    assert told["serves"] == site.old
    if step == SWITCHED:
        assert (code, told["outcome"]) == (Exit.REVERTED, "reverted")
        last = journal(site.host, "shop")[-1]
        assert last["result"] == "reverted"
        assert "its session ended" in last["reason"]
    else:
        assert code == Exit.FAILED
    site.assert_next_deploy_works()


def test_the_power_goes_between_switch_and_confirmation(site: Site) -> None:
    """At boot, without anybody: back to the release that was confirmed last."""
    with fab(site.shop.project, *deploy(site)) as running:
        running.wait_for(SWITCHED)
        assert current(site.host, "shop") != site.old
        site.host.power_cut()
        running.process.kill()
        running.end()
    site.host.boot()
    site.assert_in_order(site.old, seconds=30)
    assert journal(site.host, "shop")[-1]["result"] == "reverted"
    site.assert_next_deploy_works()


@pytest.mark.nightly
def test_the_power_goes_when_all_is_well(site: Site) -> None:
    site.host.power_cut()
    site.host.boot()
    site.assert_in_order(site.old, seconds=30)
    before = journal(site.host, "shop")
    # Nothing is left to do: an installed recover changes nothing, however often it runs.
    tree = (
        "find /srv/shop /run/cartwheel /etc -xdev ! -name '.lock.*' ! -name '*.lock'"
        " -printf '%p %l %T@ %i\\n' | sort"
    )
    files = site.host.sh(tree)
    pids = main_pids(site.host, "shop")
    for mode in ("--settle", "--boot"):
        said = site.host.sh(f"/usr/local/lib/cartwheel/shop/recover {mode}")
        assert said == ""
    assert site.host.sh(tree) == files
    assert (main_pids(site.host, "shop"), journal(site.host, "shop")) == (pids, before)
    site.assert_next_deploy_works()
