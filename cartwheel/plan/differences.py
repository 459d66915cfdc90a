"""What a plan changes on its host, for a person: files, packages, variables, instances; pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cartwheel.build.lock import pins
from cartwheel.plan.host_plan import HostPlan

# In a release's own files its name stands everywhere; only what else differs is of interest.
_ANY_RELEASE = "RELEASE"
_OF_PACKAGES = "lock.txt"
# The unit files of a release differ by their slot alone: the first one speaks for all.
_NOT_SHOWN = re.compile(re.escape(_OF_PACKAGES) + r"|(release|damaged)\.json|web-[b-z]\.service")

# What the host has now: the answer of its operation `compare`.
Present = Mapping[str, Any]


@dataclass(frozen=True)
class Changed:
    """Names with what became of them: `+` is new, `-` goes, `~` is another than before."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @property
    def marked(self) -> list[str]:
        return [
            *(f"+ {one}" for one in self.added),
            *(f"- {one}" for one in self.removed),
            *(f"~ {one}" for one in self.changed),
        ]


@dataclass(frozen=True)
class Differences:
    """All that would be otherwise after the plan. `diffs` are unified ones."""

    diffs: tuple[str, ...] = ()
    packages: Changed = Changed()
    variables: Changed = Changed()
    starts: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()


def wanted(plan: HostPlan) -> tuple[list[str], list[str]]:
    """What to ask the host for: paths of shared files, and releases."""
    releases = [name for name in (plan.current, plan.release) if name]
    return sorted(_shared_files(plan)), releases


def differences(
    plan: HostPlan, present: Present, manifests: Mapping[str, Mapping[str, Any]], unit: str
) -> Differences:
    """From what the host has to what the plan leaves. `manifests` are those of its releases by
    name, `unit` is the new instance's."""
    if plan.unchanged or plan.refusals:
        return Differences()
    before = dict(present["releases"].get(plan.current or "", {}))
    after = {**present["releases"].get(plan.release, {}), **_own_files(plan)}
    shared = _shared_files(plan)
    return Differences(
        diffs=(
            *_diffs(_of_release(plan.current, before), _of_release(plan.release, after)),
            *_diffs({path: present["files"][path] for path in shared}, shared),
        ),
        packages=_packages(before.get(_OF_PACKAGES, ""), after.get(_OF_PACKAGES, "")),
        variables=_variables(
            _digests(manifests.get(plan.current or "", {})), _new_variables(plan, manifests)
        ),
        starts=(unit,),
        stops=tuple(present["running"]),
    )


def _own_files(plan: HostPlan) -> dict[str, str]:
    """The new release's texts by name, as far as this plan writes them."""
    if plan.making is None:
        return {}
    lock = plan.making.packages.lock
    return {**plan.making.files, _OF_PACKAGES: lock.text.rstrip() + "\n" + lock.text_beside}


def _shared_files(plan: HostPlan) -> dict[str, str | None]:
    """Files outside releases that the plan writes, or takes away (None)."""
    site = plan.switch.site if plan.switch else {}
    return {**site, **(plan.host_files or {})}


def _of_release(release: str | None, texts: Mapping[str, str]) -> dict[str, str | None]:
    """Two releases' files become comparable: without the release's own name."""
    return {
        name: text.replace(release, _ANY_RELEASE) if release else text
        for name, text in texts.items()
        if not _NOT_SHOWN.fullmatch(name)
    }


def _diffs(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        old, new = before.get(name) or "", after.get(name) or ""
        if old != new:
            yield "".join(_unified(name, old, new))


def _unified(name: str, old: str, new: str) -> Iterator[str]:
    """Against the empty file where there is none."""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True),
        new.splitlines(keepends=True),
        name if old else "/dev/null",
        name if new else "/dev/null",
    )
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n"


def _packages(before: str, after: str) -> Changed:
    old, new = pins(before), pins(after)
    return Changed(
        tuple(f"{name} {new[name]}" for name in sorted(new.keys() - old.keys())),
        tuple(f"{name} {old[name]}" for name in sorted(old.keys() - new.keys())),
        tuple(
            f"{name} {old[name]} -> {new[name]}"
            for name in sorted(old.keys() & new.keys())
            if old[name] != new[name]
        ),
    )


def _new_variables(plan: HostPlan, manifests: Mapping[str, Mapping[str, Any]]) -> Mapping[str, str]:
    if plan.making is None:
        return _digests(manifests.get(plan.release, {}))
    return {name: variable.digest for name, variable in plan.making.variables.items()}


def _digests(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {name: variable.get("digest", "") for name, variable in manifest.get("env", {}).items()}


def _variables(before: Mapping[str, str], after: Mapping[str, str]) -> Changed:
    """By name; that a value changed is known from its keyed digest."""
    return Changed(
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(before.keys() - after.keys())),
        tuple(name for name in sorted(before.keys() & after.keys()) if before[name] != after[name]),
    )
