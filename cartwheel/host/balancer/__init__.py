"""This host as a balancer: hosts that are taken out of it, and one module per kind."""
