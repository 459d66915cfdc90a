"""The seed of all random choices: fixed, or today's date in the nightly run."""

from __future__ import annotations

import os

SEED = int(os.environ.get("CARTWHEEL_SEED", "12"))
