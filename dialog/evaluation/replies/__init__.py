"""Replies, chosen and written, scored."""
