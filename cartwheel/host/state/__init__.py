"""State recorded on the host: releases, journal, pending switch, freeze."""
