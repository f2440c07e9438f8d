"""How slips of the keys are learned."""
