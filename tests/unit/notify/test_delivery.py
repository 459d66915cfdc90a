"""Messages arrive by the real sender; whoever does not take one holds nothing up."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from cartwheel.errors import UsageError
from cartwheel.hidden import Hidden
from cartwheel.notify.delivery import Delivery, refuse_missing
from cartwheel.notify.messages import Message
from tests.kit.webhook import TOKEN, Webhook, webhook

FIRST = Message("begun", "shop: deploy has begun", "deploy on web1 by ann", "info")
LAST = Message("done", "shop: 1.0 is live", "deploy on web1 by ann\n1.0.aa, in 3 s", "success")


@pytest.fixture(scope="module")
def messenger() -> Iterator[Webhook]:
    with webhook() as found:
        yield found


def told(addresses: dict[str, str], *messages: Message, seconds: float = 10.0) -> dict[str, str]:
    with Delivery({name: Hidden(address) for name, address in addresses.items()}) as delivery:
        for message in messages:
            delivery.send(message)
        return delivery.undelivered(seconds)


def test_in_order(messenger: Webhook) -> None:
    messenger.taken.clear()
    assert told({"ops": messenger.address()}, FIRST, LAST) == {}
    assert messenger.titles == [FIRST.title, LAST.title]
    assert messenger.taken[1][1]["message"] == LAST.body
    assert messenger.taken[1][1]["type"] == "success"


def test_one_that_is_silent_holds_no_other_up(messenger: Webhook) -> None:
    messenger.taken.clear()
    ways = {"mute": messenger.address("silent"), "ops": messenger.address()}
    assert told(ways, LAST, seconds=2) == {"mute": "no answer within 2 s"}
    assert messenger.titles == [LAST.title]


def unused_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("{gone}", "404"),
        ("nonsense://{token}", "does not know its address"),
        ("slack://{token}", "does not know its address"),
        ("", "does not know its address"),
        ("json://ann:{token}@127.0.0.1:{port}/", "error occurred"),
        ("json://ann:{token}@no-such-name.invalid/", "error occurred"),
    ],
)
def test_why_it_was_not_told(messenger: Webhook, address: str, says: str) -> None:
    gone = messenger.address("gone")
    there = address.format(gone=gone, token=TOKEN, port=unused_port())
    found = told({"ops": there}, LAST)
    assert says in found["ops"], found
    assert TOKEN not in found["ops"]


def test_a_problem_with_any_message_counts(messenger: Webhook) -> None:
    found = told({"ops": messenger.address("gone")}, FIRST, LAST)
    assert "404" in found["ops"]


def test_a_warning_about_one_address_is_not_said_of_another(messenger: Webhook) -> None:
    away = f"json://ann:{TOKEN}@127.0.0.1:{unused_port()}/"
    for _ in range(3):
        found = told({"gone": messenger.address("gone"), "away": away}, LAST, LAST)
        assert "404" in found["gone"]
        assert "404" not in found["away"]


def test_a_sender_that_dies_is_told(messenger: Webhook) -> None:
    with Delivery({"ops": Hidden(messenger.address())}) as delivery:
        delivery._process.kill()
        delivery.send(LAST)
        assert delivery.undelivered(10) == {"ops": "the sender ended too early"}


NOISY = """
import os
from cartwheel.notify import sender

class Noisy:
    def problem_with(self, address):
        print("checking")
        return ""

    def send(self, address, message):
        print("sending", end="", flush=True)
        os.write(1, b"[]")
        return "" if address else "no address"

sender.KINDS = (Noisy(),)
sender.main()
"""


def test_what_a_messenger_prints_is_no_answer() -> None:
    asked = [{"ops": "x", "dev": ""}, asdict(FIRST)]
    done = subprocess.run(
        [sys.executable, "-c", NOISY],
        input="".join(json.dumps(one) + "\n" for one in asked),
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found = sorted(json.loads(line) for line in done.stdout.splitlines())
    assert found == [[0, "dev", "no address"], [0, "ops", ""]]


def test_nothing_outlives_the_block(messenger: Webhook) -> None:
    with Delivery({"mute": Hidden(messenger.address("silent"))}) as delivery:
        delivery.send(LAST)
        assert delivery.undelivered(0.5)
        process = delivery._process
    assert process.returncode is not None


def test_without_apprise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match="not installed") as refused:
        refuse_missing()
    assert refused.value.slug == "notify-missing"
