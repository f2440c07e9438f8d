"""How fleets are learned."""
