"""Pointer networks: the output is a place in the input."""
