"""Faults in words: whatever a model of pydantic refuses is said as what was expected."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from serve.edge.paging import Paged
from serve.edge.reading import faults_of
from serve.edge.wording import ID


class Asked(BaseModel):
    mode: Literal["offline", "live"] = "live"
    limit: Annotated[int, Field(ge=1, le=200)] = 1
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    texts: Annotated[list[str], Field(min_length=1, max_length=2)] = ["a"]
    name: Annotated[str, Field(min_length=1, max_length=3)] = "a"
    id: Annotated[str, Field(pattern=f"^{ID}$")] = "0" * 32
    flag: bool = True
    other: Annotated[str, Field(pattern="^a+$")] = "a"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mode": "x"}, "expected 'offline' or 'live'"),
        ({"limit": 0}, "expected 1 or more"),
        ({"limit": 201}, "expected 200 or less"),
        ({"limit": "many"}, "expected a whole number"),
        ({"share": 0}, "expected greater than 0"),
        ({"share": "x"}, "expected a number"),
        ({"texts": []}, "expected at least 1 item after validation, not 0"),
        ({"name": ""}, "expected at least 1 character"),
        ({"name": "long"}, "expected at most 3 characters"),
        ({"id": "zz"}, "expected an id as the service gave it, 32 of 0 to 9 and a to f"),
        ({"flag": "perhaps"}, "expected true or false"),
        ({"other": "b"}, "expected what matches ^a+$"),
    ],
)
def test_a_fault_says_what_was_expected(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Asked.model_validate(given)
    assert [fault.detail for fault in faults_of(refused.value)] == [said]


def test_a_list_says_how_times_and_cursors_look() -> None:
    with pytest.raises(ValidationError) as refused:
        Paged.model_validate({"since": "yesterday", "cursor": "2"})
    assert {fault.pointer: fault.detail for fault in faults_of(refused.value)} == {
        "/since": "expected a day or a time in UTC, such as 2026-01-31 or 2026-01-31T12:00:00Z",
        "/cursor": "expected a cursor, as `next` of the page before said",
    }
