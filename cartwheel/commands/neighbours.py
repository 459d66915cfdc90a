"""What the files of each host depend on: its own facts, and the hosts around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cartwheel.commands.balancing import addresses
from cartwheel.commands.scene import Scene
from cartwheel.commands.siblings import siblings
from cartwheel.render.release import RenderFacts

if TYPE_CHECKING:
    from cartwheel.host.wire.facts import Facts


def rendering_facts(scene: Scene, known: Mapping[str, Facts]) -> dict[str, RenderFacts]:
    """For each host that can take a release. Raises UsageError("inventory")."""
    in_front, beside = addresses(scene), siblings(scene)
    return {
        host: replace(
            RenderFacts.of(facts, scene.settings),
            balancers=in_front,
            siblings=beside.get(host, ()),
        )
        for host, facts in known.items()
        if facts.python is not None and facts.host.systemd is not None
    }
