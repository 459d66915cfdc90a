"""Measurements and long searches for bugs; the scripts in this folder start them."""

import sys
from pathlib import Path

# Benches start lab hosts; the lab is a separate distribution in this repository.
_ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(_ROOT / "lab"), str(_ROOT / "monitor")]
