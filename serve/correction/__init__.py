"""Correction of what was typed, and completion of what is being typed, over HTTP."""
