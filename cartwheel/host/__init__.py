"""The host side of Cartwheel. Standard library only; Python 3.9 and later.

Nothing outside this package changes anything on a host.
"""
