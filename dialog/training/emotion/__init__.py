"""How messages get their emotions: the default, the side-by-side models, their encoder and teachers."""
