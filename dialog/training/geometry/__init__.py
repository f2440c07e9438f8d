"""How pointer networks are learned."""
