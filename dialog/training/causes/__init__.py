"""How the causes of emotions are learned."""
