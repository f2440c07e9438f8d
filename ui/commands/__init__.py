"""The command `rapport`, one file a command."""
