"""Hosts with web that answer for each other when a certificate authority asks (tls.acme)."""

from __future__ import annotations

from cartwheel.commands.balancing import inner_address, resolved
from cartwheel.commands.scene import Scene, located
from cartwheel.errors import UsageError
from cartwheel.plan.acme import too_many_hosts
from cartwheel.settings.hosts import Host
from cartwheel.ssh.address import parse_address


def with_web(scene: Scene) -> tuple[Host, ...]:
    """All hosts of the settings that run web."""
    return tuple(host for host in scene.known if scene.has_web(host))


def refuse_too_many(scene: Scene) -> None:
    """Raises UsageError("settings") if more hosts would ask for a certificate than a CA allows."""
    known = {host.name for host in with_web(scene)}
    chosen = {
        parse_address(host.name).host for host in scene.chosen if scene.assigned(host.name).has_web
    }
    if problem := too_many_hosts(scene.settings, len(known | chosen)):
        raise UsageError("settings", problem)


def siblings(scene: Scene) -> dict[str, tuple[str, ...]]:
    """For each chosen host the others, as ADDRESS:PORT. Raises UsageError("inventory")."""
    if not scene.settings.tls.acme:
        return {}
    hosts = with_web(scene)
    where = located(scene, hosts) if len(hosts) > 1 else {}
    inner = {
        host.name: _addresses(host, where[host.name], scene.settings.web.listen)
        for host in hosts
        if host.name in where
    }
    return {
        chosen.name: tuple(
            address
            for name, addresses in inner.items()
            if name != parse_address(chosen.name).host
            for address in addresses
        )
        for chosen in scene.chosen
    }


def _addresses(host: Host, found: str, port: int) -> list[str]:
    at = parse_address(inner_address(host, found, port))
    shown = (f"[{one}]" if ":" in one else one for one in resolved(at.host))
    return [f"{one}:{at.port}" for one in shown]
