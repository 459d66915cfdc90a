"""What JSON and TOML hold, before it is checked."""

from collections.abc import Mapping
from typing import Any

# Any: who reads a value knows what belongs there, and checks it.
Value = Any
Table = dict[str, Any]
Fields = Mapping[str, Any]
