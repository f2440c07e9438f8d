"""SeqDialN: answers to questions about a picture, over rounds."""
