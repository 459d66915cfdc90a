"""Plant faults on a lab host, one after the other: does `fab diagnose` find their cause?

A shop with a worker, a timer, PostgreSQL, Redis and another service has visitors. Each fault is
planted under this load, `fab diagnose --json` runs while the visitors are still there, and the
fault is undone. Then healthy, busy hosts are diagnosed: nothing must be found. Prints a table; the
exit code is 1 if a limit is missed.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from bench.diagnosed import speed
from bench.diagnosed.faults import FAULTS, Fault, clock
from bench.diagnosed.healthy import HEALTHY, Healthy
from bench.diagnosed.site import USUAL, Answer, Site, new_site
from cartwheel.errors import LabError
from cartwheel.events import silent
from cartwheel_lab import Lab
from cartwheel_lab.lab import STATE_VARIABLE
from tests.kit.ending import clean_up_when_ended

AMONG, AMONG_PART, FIRST_PART = 3, 36 / 40, 30 / 40
SECONDS = 5.0
BEFORE_SECONDS = 3.0  # visitors of the site before the fault


@dataclass(frozen=True)
class Tried:
    """A fault after it was diagnosed.

    `felt`: failed requests, of all, and the slowest answer.
    `on_host`: what the host's part of the seconds was."""

    fault: Fault
    place: int
    seconds: float
    found: tuple[str, ...]
    felt: str
    note: str = ""
    on_host: float = 0.0


def main(arguments: Sequence[str]) -> int:
    given = _options(arguments)
    clean_up_when_ended()
    faults = [one for one in FAULTS if _chosen(one.name, given.only)]
    hosts = [one for one in HEALTHY if _chosen(one.name, given.only)]
    if given.list:
        print("\n".join(f"{one.kind:16} {one.name}" for one in faults))
        print("\n".join(f"{'healthy':16} {one.name}" for one in hosts))
        return 0
    if given.part == "faults":
        hosts = []
    elif given.part == "healthy":
        faults = []
    with _bench() as (lab, folder):
        if given.part == "speed":
            return speed.measure(lab, folder, SECONDS)
        tried, well = _go(lab, folder, faults, hosts, given.keep)
    print(table(tried, well))
    return 0 if _passed(tried, well) else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/diagnose", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="only this one; * fits all")
    parser.add_argument("--list", action="store_true", help="only print the names")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="put all answers there, as JSON"
    )
    parts = parser.add_mutually_exclusive_group()
    for part, says in (
        ("faults", "no healthy hosts"),
        ("healthy", "no faults"),
        ("speed", "instead: how long it takes with large logs"),
    ):
        parts.add_argument(
            f"--{part}", dest="part", action="store_const", const=part, default="", help=says
        )
    return parser.parse_args(arguments)


def _chosen(name: str, only: Sequence[str] | None) -> bool:
    return not only or any(fnmatch.fnmatch(name, pattern) for pattern in only)


@contextmanager
def _bench() -> Iterator[tuple[Lab, Path]]:
    with tempfile.TemporaryDirectory(prefix="cartwheel-bench-") as scratch:
        lab = Lab(Path(scratch) / "lab", emit=silent)
        os.environ[STATE_VARIABLE] = str(lab.state)
        try:
            yield lab, Path(scratch)
        finally:
            lab.down()


def _go(
    lab: Lab,
    folder: Path,
    faults: Sequence[Fault],
    hosts: Sequence[Healthy],
    keep: Path | None,
) -> tuple[list[Tried], list[tuple[str, Answer]]]:
    site = new_site(lab, folder)
    lab.save_disks([site.host.name])
    fresh = Fresh(lab, site)
    fresh.ready()

    def kept(name: str, answer: Answer) -> None:
        if keep:
            keep.mkdir(parents=True, exist_ok=True)
            said = {"seconds": answer.seconds, "causes": answer.causes, "evidence": answer.evidence}
            text = json.dumps({**said, "errors": answer.errors}, indent=1)
            (keep / f"{name.replace(' ', '-').replace('/', '')}.json").write_text(text)

    tried = []
    for number, fault in enumerate(faults, 1):
        began = time.monotonic()
        try:
            one = _try(site, fault, fresh, kept)
        except (LabError, AssertionError) as error:
            one = Tried(fault, 0, 0.0, (), "", f"it cannot be tried: {str(error)[:300]}")
            fresh.renew()
        tried.append(one)
        took = time.monotonic() - began
        print(f"{number}/{len(faults)} {line(one)} ({took:.0f} s)", flush=True)
    well = []
    for host in hosts:
        fresh.ready()
        answer = host.diagnosed(site)
        kept(host.name, answer)
        well.append((host.name, answer))
        print(f"healthy: {host.name}: {', '.join(answer.slugs) or 'nothing'}", flush=True)
        fresh.renew()
    return tried, well


@dataclass
class Fresh:
    """Makes the host as it was before the fault."""

    lab: Lab
    site: Site
    renewed: int = 0

    def ready(self) -> None:
        wrong = self.site.settle()
        if wrong:
            raise SystemExit(f"the shop does not work: {wrong}")
        self.site.forget()

    def undo(self, fault: Fault) -> str:
        """Undo it; returns what was still found then, and renews the host if anything was."""
        if fault.fresh:
            self.renew()
            return ""
        undo = fault.undo
        self.site.sh("rm -rf $shared/modes")
        if isinstance(undo, str):
            self.site.sh(undo)
        else:
            undo(self.site)
        wrong = self.site.settle()
        if not wrong:
            self.site.forget()
            wrong = ", ".join(self.site.diagnose().slugs)
            expected = fault.variant.certificate_days is not None
            wrong = "" if expected or fault.name in _STAY else wrong
        if wrong:
            self.renew()
        return wrong

    def renew(self) -> None:
        """The disk as it was saved."""
        self.renewed += 1
        self.lab.reset([self.site.host.name], saved=True)
        self.site.host = self.lab.hosts()[0]
        self.site.write(USUAL)
        self.site.variant = USUAL
        self.ready()


# Their variant itself is found until the next deploy.
_STAY = ("MySQL refuses",)


def _try(site: Site, fault: Fault, fresh: Fresh, kept: Callable[[str, Answer], None]) -> Tried:
    if site.variant != fault.variant:
        site.deploy(fault.variant)
        if not fault.variant.certificate_days:
            site.settle()
        site.forget()
    with site.visited(fault.pages) as visits:
        time.sleep(BEFORE_SECONDS)
        if isinstance(fault.plant, str):
            site.sh(fault.plant)
        else:
            fault.plant(site)
        with site.visited(fault.more) if fault.more else nullcontext():
            time.sleep(fault.seconds)
            answer = site.diagnose(env=clock(fault, site.project.folder / "clock"))
    kept(fault.name, answer)
    sent, failed = visits.result["sent"], visits.result["failed_by_kind"]
    felt = f"{sum(failed.values())} of {sum(sent.values())}"
    felt += f", {visits.result['longest_stall_seconds']:.1f} s"
    left = fresh.undo(fault)
    note = f"after the undo: {left}" if left else ""
    if not answer.evidence:
        note = answer.errors.strip().splitlines()[-1] if answer.errors.strip() else "no answer"
    place = fault.place_in(answer.causes)
    on_host = float(answer.evidence.get("took_seconds", 0.0))
    return Tried(fault, place, answer.seconds, tuple(answer.slugs), felt, note, on_host)


# --- the table


def line(one: Tried) -> str:
    place = str(one.place) if one.place else "absent"
    found = ", ".join(one.found[:5]) or "nothing"
    note = f" ({one.note})" if one.note else ""
    recorded = " (recorded)" if one.fault.recorded else ""
    return (
        f"| {one.fault.kind} | {one.fault.name}{recorded} | {', '.join(one.fault.right[:2])}"
        f" | {place} | {found}{note} | {one.felt} | {one.seconds:.1f} | {one.on_host:.1f} |"
    )


def table(tried: Sequence[Tried], well: Sequence[tuple[str, Answer]]) -> str:
    lines: list[str] = []
    if tried:
        lines += [
            "| kind | fault | expected | place | found | failed requests, slowest | s | host's s |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
            *map(line, tried),
            "",
            *_sums(tried),
        ]
    if well:
        found = sum(len(answer.causes) for _, answer in well)
        lines.append(f"{len(well)} healthy, busy hosts: {found} findings")
        lines += [f"- {name}: {', '.join(one.slugs)}" for name, one in well if one.causes]
    return "\n".join(lines)


def _sums(tried: Sequence[Tried]) -> Iterator[str]:
    real = [one for one in tried if not one.fault.recorded]
    for what, some in (("all", tried), ("without the recorded", real)):
        among, first = _counts(some)
        yield f"{what}: {len(some)} faults, {among} among the first {AMONG}, {first} first"
    seconds = [one.seconds for one in tried]
    yield (
        f"seconds: median {statistics.median(seconds):.1f}, worst {max(seconds):.1f}"
        f" (load average {os.getloadavg()[2]:.1f})"
    )


def _counts(tried: Sequence[Tried]) -> tuple[int, int]:
    return sum(0 < one.place <= AMONG for one in tried), sum(one.place == 1 for one in tried)


def _passed(tried: Sequence[Tried], well: Sequence[tuple[str, Answer]]) -> bool:
    among, first = _counts(tried)
    seconds = [one.seconds for one in tried] + [one.seconds for _, one in well]
    return (
        among >= AMONG_PART * len(tried)
        and first >= FIRST_PART * len(tried)
        and not any(one.causes or not one.evidence for _, one in well)
        and max(seconds, default=0.0) <= SECONDS
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
