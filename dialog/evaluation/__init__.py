"""What a model is worth: one task a file, each with its baselines and intervals."""
