"""Replies over HTTP: /v1/chat/completions, as clients of OpenAI's API speak it."""
