"""Measurements and long hunts, started by the scripts beside them."""

import sys
from pathlib import Path

# A bench makes hosts of its own: the lab is a distribution of its own in this repository.
sys.path.append(str(Path(__file__).resolve().parent.parent / "lab"))
