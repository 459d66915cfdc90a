"""Write the files that pages show into this folder, for a page that continues their story.

    python -m book.files docs/steps/1-write-and-test.md ...

A block with a title is a file; a later page replaces the file of an earlier one.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from book.blocks import read


def write(pages: Sequence[Path], folder: Path) -> None:
    """Write the blocks with a title of these pages, as their readers have them at the end."""
    for page in pages:
        for block in read(page).blocks:
            if block.title:
                file = folder / block.title
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text)


if __name__ == "__main__":
    write([Path(name) for name in sys.argv[1:]], Path())
