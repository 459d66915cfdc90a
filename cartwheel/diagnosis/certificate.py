"""A certificate that should have been renewed. (`health` judges the one that is served.)"""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel.diagnosis.cause import GUESSED, SOON, Case, Cause
from cartwheel.plan import tls

# A host asks for a new one when a third is left; at a fifth `fab status` complains. Between them
# the host has tried in vain for some time.
_LEFT = 0.3


def causes(case: Case) -> Iterator[Cause]:
    """Asking the certificate authority fails."""
    state = case.found.status.tls
    if state is None or not state.failed:
        return
    served = tls.certificate(state.served)
    is_late = served is None or served.part_left(state.time) < _LEFT
    ends = f"; the certificate ends on {served.day}" if served is not None else ""
    yield Cause(
        "certificate",
        f"the host gets no new certificate: {state.failed}{ends}",
        f"`fab tls.renew -H {case.host}` asks again at once, the host itself once an hour",
        GUESSED if is_late else SOON,
        (f"asked: {state.directory}",) if state.directory else (),
        explains=frozenset({"https"}),
    )
