"""Answers about pictures. In the distribution `rapport-client`, which stands alone, this file is
dialog/pictures/answers.py itself."""

from dialog.pictures.answers import Answer, Candidate, Thing

__all__ = ["Answer", "Candidate", "Thing"]
