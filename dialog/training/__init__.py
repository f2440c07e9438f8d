"""Training: the loop, and one recipe a model."""
