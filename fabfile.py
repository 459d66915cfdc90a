"""What `fab` loads: binds the program and the task namespace; nothing else."""
