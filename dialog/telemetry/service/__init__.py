"""A service watched by its own figures: what is measured of it each minute, and what is noticed in that."""
