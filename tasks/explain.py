"""The task `explain`: what an error means, without a host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.fab import FabContext
from cartwheel.terminal.scene import plain_task

if TYPE_CHECKING:
    from cartwheel.terminal.show import Output


@plain_task(
    hosts="none",
    positional=["words"],
    help={
        "words": "An error's number (CW602), the line that `fab` printed, or words to look for, in"
        " quotes.",
        "zh": "In Chinese.",
    },
)
def explain(c: FabContext, out: Output, words: str, zh: bool = False) -> int:
    """Explain an error, or find words in the questions.

    A number, or a line that ends in one, shows the error's cause, an example and its remedy. Other
    words are looked for in the headings of the questions (docs/faq/index.md) and the errors. No
    host and no settings are needed.
    """
    return 0
