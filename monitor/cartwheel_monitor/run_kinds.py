"""What runs do, for people."""

from __future__ import annotations

from cartwheel_monitor.language import _


def run_kind(kind: str) -> str:
    """What a run does (Entry.kind); what this version does not know, as it is."""
    return {
        "deploy": _("deploy"),
        "rollback": _("rollback"),
        "restart": _("restart"),
        "migrate": _("migration"),
        "drain": _("end of the old release"),
        "setup": _("setup"),
        "stop": _("stop"),
        "start": _("start"),
        "hold": _("freeze"),
        "release": _("end of a freeze"),
    }.get(kind, kind)
