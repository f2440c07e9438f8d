"""How replies are learned: the chooser, the writer, and decoders made recurrent."""
