"""What is wrong with a field, in our words: what was expected, whatever library noticed."""

import re
from collections.abc import Mapping
from typing import Any

_WORDS: Mapping[str, str] = {
    "missing": "missing",
    "extra_forbidden": "there is no such field",
    "string_type": "expected a string",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "list_type": "expected an array",
    "dict_type": "expected an object",
    "model_type": "expected an object",
    "model_attributes_type": "expected an object",
    "none_required": "expected null",
}
"""By pydantic's name of the fault."""
ID = r"[0-9a-f]{32}"
"""What the service calls what it keeps."""
DATE, TIME = r"\d{4}-\d{2}-\d{2}", r"\d{2}:\d{2}:\d{2}Z"
MOMENT, CURSOR = rf"^{DATE}(T{TIME})?$", rf"^{DATE}T{TIME}\.[0-9a-f]{{1,32}}$"
_SHAPES: Mapping[str, str] = {
    f"^{ID}$": "an id as the service gave it, 32 of 0 to 9 and a to f",
    MOMENT: "a day or a time in UTC, such as 2026-01-31 or 2026-01-31T12:00:00Z",
    CURSOR: "a cursor, as `next` of the page before said",
}
"""By pattern: what it is of."""


def in_words(kind: str, message: str, context: Mapping[str, Any]) -> str:
    """A fault as pydantic names it and tells it, in ours."""
    if kind in _WORDS:
        return _WORDS[kind]
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        return f"expected {_SHAPES.get(pattern, f'what matches {pattern}')}"
    bound = re.sub(
        r"(greater|less) than or equal to (\S+)",
        lambda m: f"{m[2]} or {'more' if m[1] == 'greater' else 'less'}",
        message,
    )
    return re.sub(r"^(?:Input|String|List) should (?:be|have) ", "expected ", bound)
