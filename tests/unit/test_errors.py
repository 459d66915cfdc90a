"""The catalogue of errors keeps its numbers and its words."""

from __future__ import annotations

from cartwheel.errors import CATALOGUE, CartwheelError, Exit


def test_numbers_are_unique() -> None:
    numbers = [problem.number for problem in CATALOGUE.values()]
    assert len(numbers) == len(set(numbers))


def test_every_problem_says_what_to_do() -> None:
    assert all(problem.remedy.endswith(".") for problem in CATALOGUE.values())


def test_one_line_names_host_message_and_number() -> None:
    error = CartwheelError("no-python", "python3 was not found", host="web1")
    assert str(error) == "web1: python3 was not found [CW208]"
    assert error.exit_code == Exit.FAILED
    assert error.hint == (
        "`fab setup -H web1` installs it; or name one that is there in ssh.python."
    )
