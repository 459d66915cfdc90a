"""One session with a real host side behind a real sshd."""

from __future__ import annotations

import pytest

from cartwheel.ssh.session import Session

pytestmark = pytest.mark.ssh


def test_a_request_gets_its_answer(session: Session) -> None:
    assert session.request("echo", {"text": "ö\n", "n": [1, None]}) == {
        "text": "ö\n",
        "n": [1, None],
    }
    assert session.python.startswith("3.")
    session.close()
    assert session.round_trips == 3  # the channel, the request, the end
