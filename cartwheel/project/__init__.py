"""An application's own repository: what Cartwheel detects in it, and the files that it adds."""
