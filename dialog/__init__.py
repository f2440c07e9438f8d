"""Conversations: what they are, how they are read and written, and what we do with them."""
