"""Markdown with a heading for each turn."""

import io

import pytest

from dialog.formats import Unreadable, read, sniff
from tests.dialog.formats.test_further_exports import parsed, said

CHAT = """# Cooking
*Exported on 2024-05-01*

## {user}

how do I cook rice?

---

## {assistant}

Like this:

### Steps
1. Wash it.

```
## User
```

## {user}

thanks: a lot!

## {assistant}
"""


@pytest.mark.parametrize(
    ("user", "assistant"),
    [("User", "Assistant"), ("You:", "ChatGPT:"), ("👤 User", "🤖 Assistant"), ("**Me**", "**Claude**")],
)
def test_headings_that_are_roles_open_turns(user: str, assistant: str) -> None:
    text = CHAT.format(user=user, assistant=assistant)
    assert sniff(text.encode(), "chat.md") == "markdown"
    (conversation,) = parsed(text)
    first, second = ("".join(c for c in name if c.isalpha()) for name in (user, assistant))
    assert said(conversation) == [
        (first, "how do I cook rice?"),
        (second, "Like this:\n\n### Steps\n1. Wash it.\n\n```\n## User\n```"),
        (first, "thanks: a lot!"),
    ]
    assert conversation.extra["left_out"] == {"empty message": 1, "heading": 2}


@pytest.mark.parametrize(
    "text",
    [
        "# Plan\n\n## Goals\n\nTo win.\n\n## Goals\n\nTo rest.\n",
        "# User guide\n\nPress the button.\n\n# Assistant\n\nNone.\n",
    ],
)
def test_a_document_is_no_chat(text: str) -> None:
    if "guide" in text:
        text = text.replace("# Assistant", "## Assistant")
    (item,) = read(io.BytesIO(text.encode()), name="notes")
    assert isinstance(item, Unreadable)
