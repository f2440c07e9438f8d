"""Encoders: what turns text and pictures into vectors, each behind one interface."""
