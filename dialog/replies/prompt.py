"""A conversation as language models are given one: a list of roles and contents."""

from collections.abc import Sequence

from dialog.conversation import Conversation

SYSTEM = "system"
"""The speaker whose messages tell an assistant how to answer."""


def as_messages(conversation: Conversation, speaker: str, to_feel: str | None = None) -> list[dict[str, str]]:
    """The messages in the chat form: `speaker` is the assistant, everybody else a user, with a name where there are
    several. ValueError where there is none."""
    others = {u.speaker for u in conversation.utterances} - {speaker, SYSTEM}
    if not others:
        raise ValueError("a reply answers a message: the conversation has none")
    wish = [{"role": "system", "content": f"Let your answer sound of {to_feel}."}] if to_feel else []
    said = [
        {
            "role": _role(u.speaker, speaker),
            "content": f"{u.speaker}: {u.text}" if _named(u.speaker, others) else u.text,
        }
        for u in conversation.utterances
    ]
    return wish + said


def as_text(messages: Sequence[dict[str, str]]) -> str:
    """The same for a model that has no form of its own: a line a message, the last one the assistant's to finish."""
    names = {"user": "User", "assistant": "Assistant"}
    lines = [f"{names[m['role']]}: {m['content']}" if m["role"] in names else m["content"] for m in messages]
    return "\n".join([*(" ".join(line.split()) for line in lines), "Assistant:"])


def _role(name: str, speaker: str) -> str:
    return "assistant" if name == speaker else SYSTEM if name == SYSTEM else "user"


def _named(name: str, others: set[str]) -> bool:
    return len(others) > 1 and name in others
