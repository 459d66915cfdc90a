"""Which releases a rollback, a restart and `status --finish` may switch to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cartwheel.commands.rollback import plan_switch
from cartwheel.settings.phases import Kind
from cartwheel.settings.toml_tables import Settings
from tests.unit import answers
from tests.unit.commands.test_deploy import SCENE

ROOT, SHOP, OLD = "1.a", "1.b", "0.9"


@pytest.mark.parametrize(
    ("kind", "now", "current", "chosen", "wrong"),
    [
        ("rollback", "/shop", SHOP, ROOT, ROOT),
        ("rollback", "", ROOT, SHOP, SHOP),
        # The settings of before do not help: the site is that of the live release.
        ("rollback", "", SHOP, ROOT, SHOP),
        # An earlier version did not say where a release is.
        ("rollback", "/shop", SHOP, OLD, ""),
        ("restart", "/shop", OLD, OLD, ""),
        ("restart", "/shop", ROOT, ROOT, ROOT),
        ("restart", "/shop", SHOP, SHOP, ""),
        # It writes the site too.
        ("deploy", "/shop", ROOT, SHOP, ""),
        ("deploy", "", ROOT, SHOP, SHOP),
    ],
)
def test_a_release_below_another_path(
    kind: Kind, now: str, current: str, chosen: str, wrong: str
) -> None:
    def change(known: dict[str, Any]) -> None:
        below = {ROOT: "", SHOP: "/shop", OLD: None}
        releases = [answers.release(name, prefix=prefix) for name, prefix in below.items()]
        known["app"].update(current=current, releases=releases)

    settings = Settings.model_validate(
        {"app": {"name": "shop", "source": "."}, "web": {"prefix": now}}
    )
    scene = replace(SCENE, settings=settings)
    plan = plan_switch(scene, answers.facts(change), kind, chosen)
    assert [one.slug for one in plan.refusals] == (["other-prefix"] if wrong else [])
    assert all(one.message.startswith(f"{wrong} was made") for one in plan.refusals)
