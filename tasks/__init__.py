"""The words a person types: one short module per noun.

Add a module's name to one of the two lists; its heavy imports go inside its
functions, because `fab --list` loads every module.
"""

from __future__ import annotations

import sys
from pathlib import Path

# `inv` finds this folder too, but not the one beside it: let it get as far as our refusal.
sys.path.append(str(Path(__file__).resolve().parent.parent))

from cartwheel.fab import assemble

namespace = assemble(
    __name__,
    # tasks named by one word: `fab deploy`
    flat=("deploy", "serve", "look", "inside", "inventory"),
    # tasks named after their module: `fab hosts.trust`
    nested=(
        "balancer",
        "config",
        "env",
        "hosts",
        "lab",
        "lock",
        "nginx",
        "runs",
        "secrets",
        "templates",
    ),
)
