"""The Conversation tab: a log is read, labelled, shown, corrected and saved."""
