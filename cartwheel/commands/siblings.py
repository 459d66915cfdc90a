"""Hosts that answer for each other when a certificate authority asks (tls.acme)."""

from __future__ import annotations

from cartwheel.commands.balancing import balancers, inner_address, resolved
from cartwheel.commands.scene import Scene, located
from cartwheel.errors import UsageError
from cartwheel.plan.acme import too_many_hosts
from cartwheel.settings.hosts import Host
from cartwheel.ssh.address import parse_address


def _ends(scene: Scene) -> tuple[Host, ...]:
    """All hosts of the settings where TLS ends: the balancers, or those that run web."""
    if scene.settings.tls_end == "balancer":
        return balancers(scene)
    return tuple(host for host in scene.known if scene.has_web(host))


def refuse_too_many(scene: Scene) -> None:
    """Raises UsageError("settings") if more hosts would ask for a certificate than a CA allows."""
    if not scene.settings.tls.acme:
        return
    asking = {host.name for host in _ends(scene)}
    if scene.settings.tls_end == "app":
        chosen = (host for host in scene.chosen if scene.assigned(host.name).has_web)
        asking |= {parse_address(host.name).host for host in chosen}
    if problem := too_many_hosts(scene.settings, len(asking)):
        raise UsageError("settings", problem)


def siblings(scene: Scene) -> dict[str, tuple[str, ...]]:
    """For each chosen host the others where TLS ends, as ADDRESS:PORT. Raises
    UsageError("inventory")."""
    settings = scene.settings
    if not settings.tls.acme:
        return {}
    port = settings.web.listen if settings.tls_end == "app" else settings.balancer.listen
    hosts, here = _ends(scene), {parse_address(host.name).host for host in scene.chosen}
    where = located(scene, hosts) if {host.name for host in hosts} - here or len(here) > 1 else {}
    inner = {
        host.name: _addresses(host, where[host.name], port) for host in hosts if host.name in where
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
