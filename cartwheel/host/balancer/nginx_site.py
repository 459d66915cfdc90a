"""Make this host's nginx a balancer, and undo that."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import List, Mapping, Optional

from cartwheel.host.balancer import nginx_links, taken_out
from cartwheel.host.layout import Layout
from cartwheel.host.release import access
from cartwheel.host.state import record
from cartwheel.host.switch import switch
from cartwheel.host.system import children, files, locks, systemd
from cartwheel.host.system.context import Context
from cartwheel.host.web import configuration, shared_file
from cartwheel.host.web.kinds import drop_in
from cartwheel.host.web.nginx import Nginx
from cartwheel.host.wire.balancer import PlaceSite, Way
from cartwheel.host.wire.codec import from_disk
from cartwheel.host.wire.setup import Changes

_NGINX = Nginx()

_TMPFILES = """\
# Written by Cartwheel: where nginx has its sockets for the hosts behind the balancer.
d {run} 0755 root root
d {sockets} 0710 root {group}
"""
# nginx does not start if an old socket of its own exists, as after it was killed.
_DROP_IN = """\
# Written by Cartwheel: sockets that nginx left when it was killed.
[Service]
ExecStopPost=-/bin/sh -c 'rm -f {sockets}/*.sock {sockets}/*.open'
"""


def install(ctx: Context, request: PlaceSite) -> Changes:
    """Sockets' folder, links, the site; nginx reloads only a changed site. Raises OpError like
    `check_staged` does."""
    at = ctx.at
    changed = _folders(ctx, at)
    changed += _links(at, request.ways)
    wanted = {path: text for path, text in request.site_changes.items() if _differs(path, text)}
    access.close_logs(_NGINX, at.balancer_site)
    if wanted:
        with locks.shared_parts(ctx):
            shared_file.ensure(ctx, _NGINX)
            configuration.check_staged(ctx, _NGINX, wanted, list(request.server_names))
            switch.install_site(at, wanted)
            configuration.reload(ctx, _NGINX)
        changed += ["nginx's site"]
    return Changes(tuple(changed))


def _folders(ctx: Context, at: Layout) -> List[str]:
    values = {"run": at.balancer_sockets.parent, "sockets": at.balancer_sockets}
    text = _TMPFILES.format(group=record.needed(at).group, **values)
    changed = files.write(at.balancer_tmpfiles, text.encode())
    argv = ["systemd-tmpfiles", "--create", str(at.balancer_tmpfiles)]
    children.check(ctx, argv, "systemd", "the sockets' folder could not be created")
    files.directory(_drop_in(at).parent, 0o755)
    if files.write(_drop_in(at), _DROP_IN.format(**values).encode()):
        systemd.reload(ctx)
        changed = True
    return [f"directory {at.balancer_sockets}"] if changed else []


def _links(at: Layout, ways: Mapping[str, Way]) -> List[str]:
    changed: List[str] = []
    marks = taken_out.read(at)
    hosts = {name: from_disk(nginx_links.Link, way) for name, way in ways.items()}
    for name, host in hosts.items():
        links = host.links if name not in marks else []
        made = [files.link(link, path) for link, path in links]
        if any(made):
            changed.append(f"{name} is in")
    known = {link for host in hosts.values() for link, _path in host.links}
    there = [path for suffix in nginx_links.SUFFIXES for path in at.balancer.glob("*" + suffix)]
    for path in sorted(there):
        if path not in known:
            files.remove(path)
            changed.append(f"{path.stem} is gone")
    return list(dict.fromkeys(changed))


def _differs(path: str, text: Optional[str]) -> bool:
    if text is None:
        return os.path.lexists(path)
    return files.sha256_of(Path(path)) != hashlib.sha256(text.encode()).hexdigest()


def remove(ctx: Context, at: Layout) -> List[str]:
    """Remove everything that `install` made; returns what was removed."""
    gone: List[str] = []
    site, drop_in = _NGINX.site(at.balancer_site), _drop_in(at)
    with locks.shared_parts(ctx):
        if files.remove(site):
            gone.append(str(site))
            configuration.reload(ctx, _NGINX)
    gone += configuration.remove_logs(_NGINX, at.balancer_site)
    gone += [str(path) for path in (at.balancer_tmpfiles, drop_in) if files.remove(path)]
    folders = (at.balancer, at.balancer_sockets)
    gone += [str(folder) for folder in folders if files.remove_tree(folder)]
    files.remove_empty(drop_in.parent)
    return gone


def _drop_in(at: Layout) -> Path:
    return drop_in(_NGINX, at.balancer_site)
