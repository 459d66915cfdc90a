"""Tell people of a run by their messengers ([notify])."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cartwheel.commands.scene import Scene
from cartwheel.errors import UsageError
from cartwheel.hidden import Hidden
from cartwheel.notify import messages
from cartwheel.notify.delivery import Delivery, refuse_missing
from cartwheel.notify.messages import Message, Run
from cartwheel.settings.variables import resolve_each

if TYPE_CHECKING:
    from cartwheel.fleet.report import Report
    from cartwheel.settings.phases import Kind
    from cartwheel.settings.toml_tables import Settings

# So long after the result a run waits for its messengers.
LAST_SECONDS = 3.0
_TEST_SECONDS = 15.0


class Notified:
    """Around a run: tells its begin, and its end however it comes. After the block `undelivered`
    has the messengers that did not take it, and why. Raises UsageError before the run begins."""

    def __init__(self, scene: Scene, kind: Kind) -> None:
        asked = scene.settings.notify
        self._run = Run(
            scene.settings.slug, kind, scene.hosts, scene.operator.who, scene.operator.message
        )
        self._moments = asked.on if kind in asked.kinds else ()
        self._report: Report | None = None
        self._delivery = Delivery(addresses(scene)) if asked.to and self._moments else None
        self.undelivered: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._tell(messages.begun(self._run))
        return self

    def result(self, report: Report) -> None:
        """The run's result."""
        self._report = report

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._delivery is None:
            return
        with self._delivery as delivery:
            if self._report is not None:
                self._tell(messages.ended(self._run, self._report))
            elif error is not None:
                self._tell(messages.stopped(self._run, error))
            with suppress(KeyboardInterrupt):
                self.undelivered = delivery.undelivered(LAST_SECONDS)

    def _tell(self, message: Message | None) -> None:
        if self._delivery is not None and message is not None and message.moment in self._moments:
            self._delivery.send(message)


def check_notify(settings: Settings) -> None:
    """Raises UsageError where the settings name messengers and Apprise is not installed."""
    if settings.notify.to:
        refuse_missing()


def addresses(scene: Scene) -> Mapping[str, Hidden]:
    """The address of each messenger. Raises UsageError for one that cannot be read, and where
    Apprise is not installed."""
    check_notify(scene.settings)
    keys = {f"notify.to.{name}": one for name, one in scene.settings.notify.to.items()}
    found = resolve_each(keys, scene.project, scene.taken)
    errors = [one for one in found.values() if isinstance(one, UsageError)]
    if errors:
        raise ExceptionGroup("secrets", errors) if len(errors) > 1 else errors[0]
    return {
        key.removeprefix("notify.to."): one
        for key, one in found.items()
        if not isinstance(one, UsageError)
    }


def test(scene: Scene) -> dict[str, str]:
    """Send a test message to every messenger; each one's problem, or "". Raises UsageError."""
    found = addresses(scene)
    if not found:
        raise UsageError(
            "usage",
            "the settings name no messenger",
            hint='[notify] to.NAME = { env = "VARIABLE" } names one (docs/notify.md).',
        )
    run = Run(scene.settings.slug, "test", (), scene.operator.who, scene.operator.message)
    with Delivery(found) as delivery:
        delivery.send(messages.test(run))
        problems = delivery.undelivered(_TEST_SECONDS)
    return {name: problems.get(name, "") for name in found}
