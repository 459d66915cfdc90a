"""Commands in messages, as this person has to type them."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Tasks that take neither --app nor --env.
_COMMAND = re.compile(r"`fab (?!(?:runs|lab|config)\.)([a-z][a-z.-]*)(?! --(?:app|env)\b)")


@dataclass(frozen=True)
class Commands:
    """`options` choose the application and the environment of this run."""

    program: str = "fab"
    options: str = ""

    def in_text(self, text: str) -> str:
        """The text with each `fab TASK` as this person has to type it."""
        if self.options:
            text = _COMMAND.sub(rf"`fab \1{self.options}", text)
        return text if self.program == "fab" else text.replace("`fab ", f"`{self.program} ")
