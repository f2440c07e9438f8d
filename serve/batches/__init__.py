"""Whole logs over HTTP, labelled in the background."""
