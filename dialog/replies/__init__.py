"""Replies: what may be answered in a conversation, one kind of responder a file."""
