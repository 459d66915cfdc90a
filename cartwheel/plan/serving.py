"""What the web server serves itself, for the host and in words; pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cartwheel.settings import served
from cartwheel.settings.toml_tables import Settings
from cartwheel.settings.validation import dotted

if TYPE_CHECKING:
    from cartwheel.host.wire.served import Served
    from cartwheel.plan.making import StaticCommand


def served_of(settings: Settings) -> Served:
    """What the web server reads, each folder with its setting."""
    from cartwheel.host.wire.served import Served

    static = served.static(settings)
    packages = {dotted(one.key): one.folder for one in static if one.folder is not None}
    if settings.web.error_pages is not None:
        packages["web.error_pages"] = settings.web.error_pages
    return Served(
        packages=packages,
        made=next((dotted(one.key) for one in static if one.folder is None), ""),
        media={dotted(one.key): one.folder for one in served.media(settings)},
    )


def static_command(settings: Settings) -> StaticCommand | None:
    """The command that makes a release's own static files."""
    from cartwheel.plan.making import StaticCommand

    made = served.maker(settings)
    if made is None or made.command is None:
        return None
    return StaticCommand(served_of(settings).made, made.command, made.timeout_seconds)


def in_words(settings: Settings) -> Iterator[str]:
    """Each mapping in words, for `fab plan`."""
    made = served.maker(settings)
    for one in served.static(settings):
        what = f"{one.folder} of the packages"
        if one.folder is None and made is not None:
            what = f"what `{made.command}` makes"
        yield f"{one.url} serves {what}" + (", immutable" if one.immutable else "")
    for media in served.media(settings):
        yield f"{media.url} serves shared/{media.folder}, which the app writes"
