"""What `fab` loads: binds the program and the task namespace; nothing else."""

import sys

# fab forbids writing bytecode, so that every start would compile this project anew.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)

from fabric.main import program  # noqa: E402

from cartwheel.fab import bind  # noqa: E402
from tasks import namespace  # noqa: E402

bind(program)
