"""What a deploy does to the users of the site's paths on one host; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from cartwheel.plan.host_plan import Users
from cartwheel.settings import names

if TYPE_CHECKING:
    from cartwheel.hidden import Hidden
    from cartwheel.host.wire.facts import Facts
    from cartwheel.settings.toml_tables import Settings


def plan_users(
    facts: Facts, users: Mapping[str, Hidden], digest_key: str, *, has_web: bool
) -> Users | None:
    """What happens; None if they stay as they are. `users`: the text of each path's file."""
    from cartwheel.host.wire.users import PlaceUsers

    wanted = {names.users_file(path): text for path, text in users.items()} if has_web else {}
    paths = {names.users_file(path): path for path in users}
    there = facts.users
    differ = {
        name: text
        for name, text in wanted.items()
        if there.get(name) != names.keyed_digest(digest_key, text.reveal())
    }
    gone = dict.fromkeys(sorted(there.keys() - wanted.keys()))
    if not differ and not gone:
        return None
    told = [f"users of {paths[name]} {'change' if name in there else 'are new'}" for name in differ]
    told += ["users that no path has any more go"] if gone else []
    missing = {name: text for name, text in differ.items() if name not in there}
    return Users(
        ", ".join(told),
        PlaceUsers(dict(missing)) if missing else None,
        PlaceUsers({**differ, **gone}),
    )


def users_notes(settings: Settings) -> Iterator[str]:
    """Passwords that anybody on the way can read."""
    asking = [path for path, rule in settings.web.paths.items() if rule.users is not None]
    is_in_front = not settings.web.trusted_proxies and settings.balancer.kind == "none"
    if asking and is_in_front and not settings.tls.is_on:
        yield f"passwords for {', '.join(asking)} are sent over plain HTTP: see [tls]"
