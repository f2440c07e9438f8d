"""The web page, one file a tab; it talks only to the client of the service."""
