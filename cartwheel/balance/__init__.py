"""Balancers in front of the hosts: take a host out, and return it. A kind is a module."""
