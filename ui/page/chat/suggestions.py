"""What may have been meant by what stands in the chat's box, for the browser to offer. Nothing is changed by itself."""

from typing import Any

from serve.client import Client, ServiceError
from ui.page.limits import limits_of

MOST_KEPT = 500
COMPLETIONS = 3
_LEAST_LIKELY = 0.04
"""Of a completion, to be worth a look."""


def suggest(asked: Any, client: Client) -> dict[str, Any]:
    """Edits of the text in the box, but for words the person wants left, and how the word being typed may end.

    Offsets are code points. Where the service does not answer there is nothing to offer: whoever types is not told.
    """
    text = asked.get("text") if isinstance(asked, dict) else None
    if not isinstance(text, str) or not text.strip():
        return {}
    given = asked.get("keep")
    keep = [w for w in (given if isinstance(given, list) else []) if isinstance(w, str)][-MOST_KEPT:]
    try:
        limits = limits_of(client)
        if len(text) > limits.text:
            return {}
        short = [w for w in keep if len(w) <= limits.name]
        typing = text[-1].isalpha()
        (found,) = client.mend([text], keep=short, completions=COMPLETIONS if typing else 0)
    except ServiceError:
        return {}
    # The last word is not yet done while it is being typed.
    done = [e for e in found.edits if not (typing and e.end == len(text))]
    edits = [{"start": e.start, "end": e.end, "typed": e.typed, "meant": e.meant} for e in done]
    words = [c.word for c in found.completions if c.probability >= _LEAST_LIKELY]
    return {"edits": edits, "completions": words}
