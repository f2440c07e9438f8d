"""Correction, scored."""
