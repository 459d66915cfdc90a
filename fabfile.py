"""What `fab` loads: binds the program and the task namespace; nothing else."""

from fabric.main import program

from cartwheel.fab import tasks_for

namespace = tasks_for(program)
