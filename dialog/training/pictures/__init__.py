"""How pictures are learned: the eyes, SeqDialN above them, and what its witnesses are worth."""
