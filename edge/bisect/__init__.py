"""Finds the first operator of a file that does not compute what it should."""
