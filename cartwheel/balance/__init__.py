"""Balancers in front of the hosts: take a host out, put it back. A kind is a module."""
