"""The tasks that a person types: one short module for each noun.

Add a module's name to one of the two lists; its heavy imports go inside its
functions, because `fab --list` loads every module.
"""

from __future__ import annotations

import sys
from pathlib import Path

# `inv` finds this folder, but not the package beside it, which has its refusal (fab/task.py).
sys.path.append(str(Path(__file__).resolve().parent.parent))

from cartwheel.fab import assemble

namespace = assemble(
    __name__,
    # tasks named after their function: `fab deploy`
    flat=(
        "deploy",
        "serve",
        "look",
        "diagnose",
        "incidents",
        "watch",
        "dashboard",
        "inside",
        "inventory",
        "completion",
        "explain",
    ),
    # tasks named after their module: `fab hosts.trust`
    nested=(
        "apache",
        "balancer",
        "config",
        "env",
        "hosts",
        "lab",
        "lock",
        "maintenance",
        "monitor",
        "monitor.user",
        "nginx",
        "notify",
        "process",
        "runs",
        "secrets",
        "templates",
        "timer",
        "tls",
    ),
)
