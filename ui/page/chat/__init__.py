"""The Chat tab: what is said, what is done to it, how it is answered."""
