"""Live chats over HTTP: labelled message by message, kept until deleted."""
