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

# Not quiet: MkDocs would no longer count its warnings, and fail for none.
BUILD = (sys.executable, "-m", "mkdocs", "build", "--strict")


class SiteError(Exception):
    """The book cannot be built: links, anchors or pages that are wrong."""


def build(folder: Path) -> None:
    """Build both languages into `folder`. Raises SiteError with what MkDocs says."""
    for name, place in zip(CONFIGURATIONS, (folder, folder / "zh"), strict=True):
        # jieba keeps a cache in the folder for temporary files, whose name others could take.
        with tempfile.TemporaryDirectory() as private:
            done = subprocess.run(
                [*BUILD, "-f", name, "-d", str(place)],
                cwd=REPO,
                env={**os.environ, "TMPDIR": private, "NO_MKDOCS_2_WARNING": "1"},
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if not line.startswith("INFO")]
            raise SiteError("\n".join([f"{name}:", *said]))


if __name__ == "__main__":
    try:
        build(SITE)
    except SiteError as error:
        sys.exit(str(error))
