"""What a monitor may ask of this host: it reads as a user who can do nothing else."""
