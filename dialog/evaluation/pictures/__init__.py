"""Answers about pictures, and what sees them, scored."""
