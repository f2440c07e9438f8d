"""What a message that was read leaves for those after it, and how its causes are counted in the chat."""

from collections.abc import Sequence
from typing import Any

from serve.emotion.steps import Stepped
from serve.storage import KeptRow


def kept(stepped: Stepped, numbers: Sequence[int]) -> list[KeptRow]:
    """The rows to be written, each at the place of one that is no longer needed; `numbers` are the messages read."""
    first = stepped.n_read - len(stepped.rows)
    return [
        KeptRow((first + i) % max(1, stepped.reach), numbers[len(numbers) - len(stepped.rows) + i], data)
        for i, data in enumerate(stepped.rows)
    ]


def in_chat(prediction: dict[str, Any], n: int, n_read: int, failed: Sequence[int]) -> dict[str, Any]:
    """The prediction for message n with its causes counted in the chat.

    A model counts from the first message it has read, which is not the chat's first where its state was made anew, and
    leaves out what it could not read: `failed`, the last first. So it is counted from the end.
    """

    def number(cause: dict[str, Any]) -> dict[str, Any]:
        if cause["utterance"] is None:
            return cause
        found = n - (n_read - 1 - cause["utterance"])
        for place in failed:
            found -= found <= place < n
        return {**cause, "utterance": max(found, 0)}

    return {**prediction, "causes": [number(cause) for cause in prediction["causes"]]}
