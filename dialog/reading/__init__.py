"""Text and pictures to vectors: in batches, by length, cached."""
