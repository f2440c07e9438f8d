"""How voices are learned: separation, voiceprints, emotions."""
