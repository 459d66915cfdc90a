"""The seed of everything that is chosen at random: fixed, or today's date in the nightly run."""

from __future__ import annotations

import os

SEED = int(os.environ.get("CARTWHEEL_SEED", "12"))
