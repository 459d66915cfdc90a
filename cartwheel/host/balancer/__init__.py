"""This host as a balancer: who is taken out of it, one module for each kind."""
