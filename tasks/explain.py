"""The task `explain`: what an error means, without a host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.fab import FabContext
from cartwheel.terminal.scene import plain_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cartwheel.commands.explain import Section
    from cartwheel.terminal.show import Output

_WIDTH = 80


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
    from cartwheel.commands.explain import explained, first_words, questions_with, searched
    from cartwheel.fab.mistakes import needs_words

    if not words.strip():
        raise needs_words(c.program)
    entry = explained(words, zh=zh)
    if entry is not None:
        _show(out, entry)
        if others := questions_with(words.strip(), zh=zh):
            out.say("")
            _list(out, others)
        return 0
    found = searched(words, zh=zh)
    _list(out, found.sections)
    out.say("")
    if found.is_clear:
        _show(out, found.sections[0])
    else:
        words = first_words(found.sections[0])
        out.say(f"The first one: `fab explain {words}{' --zh' if zh else ''}`")
    return 0


def _list(out: Output, sections: Sequence[Section]) -> None:
    out.table([(one.page, one.heading) for one in sections], ("PAGE", "HEADING"))
    out.put(found=[{"page": one.page, "heading": one.heading} for one in sections])


def _show(out: Output, section: Section) -> None:
    from cartwheel.terminal.plain import inline, plain

    text = plain(section.text, min(out.width or _WIDTH, _WIDTH))
    heading = inline(section.heading)
    out.say(f"{heading}\n\n{text}")
    out.put(page=section.page, heading=heading, text=text)
