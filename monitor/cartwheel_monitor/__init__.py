"""Watches sites and hosts, tells people what is wrong, and shows it. It changes nothing on them."""
