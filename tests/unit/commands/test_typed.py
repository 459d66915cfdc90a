"""Commands in messages: with the program, the application and the environment of this person."""

from __future__ import annotations

import pytest

from cartwheel.commands.typed import Typed
from tasks import namespace

TYPED = Typed("cartwheel", "shop", "production", ("a", "b"), "--role web")


def test_commands_are_as_one_has_to_type_them() -> None:
    assert TYPED.command("logs") == "cartwheel logs --app shop --env production -H a,b --role web"
    assert Typed().command("logs") == "fab logs"
    text = "see `fab setup -H a`, `fab --help deploy`, `fab runs.show last`"
    assert Typed().in_text(text) == text
    assert TYPED.in_text(text) == (
        "see `cartwheel setup --app shop --env production -H a`, `cartwheel --help deploy`,"
        " `cartwheel runs.show last`"
    )


def test_a_command_that_has_its_options_stays_as_it_is() -> None:
    typed = Typed(app="shop", hosts=("a",))
    text = f"next: `{typed.command('status')}`, `fab lock.hold --env staging`"
    assert typed.in_text(text) == text


@pytest.mark.parametrize("name", sorted(namespace.task_names))
def test_only_tasks_that_take_the_options_get_them(name: str) -> None:
    taken = {argument.name for argument in namespace[name].get_arguments()}
    expected = f"`fab {name} --app shop`" if {"app", "env"} <= taken else f"`fab {name}`"
    assert Typed(app="shop").in_text(f"`fab {name}`") == expected


def test_a_task_that_the_fabfile_names_otherwise() -> None:
    typed = Typed(app="shop", names={"deploy": "cartwheel.deploy"})
    assert typed.command("deploy") == "fab cartwheel.deploy --app shop"
    said = "`fab deploy -H a` or `fab status`"
    assert (
        typed.in_text(said) == "`fab cartwheel.deploy --app shop -H a` or `fab status --app shop`"
    )
