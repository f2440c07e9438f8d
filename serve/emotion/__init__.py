"""Emotions over HTTP."""
