"""Word lists as one string: easier on the eye than a hundred quoted words."""


def words(text: str) -> tuple[str, ...]:
    """The words of a text, at every space."""
    return tuple(text.split())
