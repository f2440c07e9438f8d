"""`rapport bench claims`: what papers claim of their mixers and a processor can check, whichever way it comes out."""
