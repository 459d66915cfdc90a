"""Build the book: site/ in English, site/zh/ in Chinese, each with a search of its own.

`python -m book.site` needs no network. It fails for a link or an anchor that leads nowhere, and for
a page that the navigation does not have.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
SITE = REPO / "site"
CONFIGURATIONS = ("book/mkdocs.yml", "book/mkdocs.zh.yml")

_BUILD = (sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict")


def build(folder: Path) -> None:
    """Build both languages into `folder`. Raises CalledProcessError after MkDocs said why."""
    for name, place in zip(CONFIGURATIONS, (folder, folder / "zh"), strict=True):
        # jieba keeps a cache in the folder for temporary files, whose name others could take.
        with tempfile.TemporaryDirectory() as private:
            subprocess.run(
                [*_BUILD, "-f", name, "-d", str(place)],
                cwd=REPO,
                env={**os.environ, "TMPDIR": private, "NO_MKDOCS_2_WARNING": "1"},
                check=True,
            )


if __name__ == "__main__":
    try:
        build(SITE)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
