"""A secret prints as `***`, in every way there is to print one."""

from __future__ import annotations

import json
import pickle
import pprint
from dataclasses import dataclass
from pathlib import Path

import pytest

from cartwheel.errors import UsageError
from cartwheel.hidden import MASK, Hidden
from cartwheel.host.wire.codec import to_json
from cartwheel.render.templates import Templates

SECRET = "hunter2"
HIDDEN = Hidden(SECRET)


@dataclass(frozen=True)
class Holder:
    name: str
    value: Hidden


@pytest.mark.parametrize(
    "text",
    [
        str(HIDDEN),
        repr(HIDDEN),
        f"{HIDDEN}",
        f"{HIDDEN:>20}",
        f"{HIDDEN!r}",
        "%s" % HIDDEN,  # noqa: UP031 - one of the ways to print
        "{}".format(HIDDEN),  # noqa: UP032 - one of the ways to print
        repr(Holder("x", HIDDEN)),
        repr({"a": [HIDDEN]}),
        pprint.pformat([HIDDEN]),
    ],
)
def test_it_prints_as_stars(text: str) -> None:
    assert SECRET not in text
    assert MASK in text


def test_it_is_not_written_down() -> None:
    with pytest.raises(TypeError):
        json.dumps({"value": HIDDEN})
    with pytest.raises(TypeError, match="not written down"):
        pickle.dumps(HIDDEN)
    with pytest.raises(TypeError):
        vars(HIDDEN)
    with pytest.raises(TypeError):
        "-".join([HIDDEN])  # type: ignore[list-item]  # that it fails is the point


def test_the_channel_gets_what_it_is() -> None:
    args = {"env": {"A": HIDDEN}, "list": [HIDDEN, 1], "plain": "x"}
    assert to_json(args) == {"env": {"A": SECRET}, "list": [SECRET, 1], "plain": "x"}
    assert Hidden(SECRET) == HIDDEN != Hidden("other")
    assert not Hidden("")


def test_no_template_takes_it(tmp_path: Path) -> None:
    folder = tmp_path / ".cartwheel/templates"
    folder.mkdir(parents=True)
    (folder / "x.j2").write_text("{{ secret }}")
    (folder / "y.j2").write_text("{{ secret | upper ~ 'a' }}")
    templates = Templates(tmp_path)
    with pytest.raises(UsageError, match=r"x\.j2:1: ValueError: a secret is not allowed here"):
        templates.render("x.j2", {"secret": HIDDEN})
    assert templates.render("y.j2", {"secret": HIDDEN}) == f"{MASK}a"
