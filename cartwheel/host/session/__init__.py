"""One session on the host: it reads requests, carries them out, and answers."""
