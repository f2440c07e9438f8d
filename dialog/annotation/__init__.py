"""Whole logs: labelled in order, journalled, anonymised."""
