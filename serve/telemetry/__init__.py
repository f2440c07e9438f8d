"""Fleets over HTTP: what is coming, what is amiss, how long is left."""
