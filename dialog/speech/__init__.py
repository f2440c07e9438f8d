"""Recordings: voices apart."""
