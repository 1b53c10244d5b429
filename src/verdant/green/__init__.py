"""Cooperative twins of stdlib modules; each is its own door, under the stdlib's name."""
