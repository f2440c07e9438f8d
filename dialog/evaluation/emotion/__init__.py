"""Emotions and their causes, scored."""
