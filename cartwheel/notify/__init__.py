"""Tell people by their messengers what a run does. No messenger holds a run up."""
