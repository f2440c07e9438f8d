"""The Picture tab: a picture is asked about."""
