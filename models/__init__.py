"""Parameters, and how they connect: every network of the project."""
