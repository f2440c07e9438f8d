"""Recordings: speech found, voices told apart, words heard."""
