"""What is offered below the chat's box."""

import pytest

from serve.client import ServiceError
from tests.ui.fake import MemoryClient
from ui.page.chat.suggestions import suggest


@pytest.fixture
def client() -> MemoryClient:
    return MemoryClient()


def test_slips_are_offered_with_their_places(client: MemoryClient) -> None:
    told = suggest({"text": "wiat for teh 🚂."}, client)
    assert told["edits"] == [
        {"start": 0, "end": 4, "typed": "wiat", "meant": "wait"},
        {"start": 9, "end": 12, "typed": "teh", "meant": "the"},
    ]


def test_the_word_being_typed_is_completed_and_not_yet_corrected(client: MemoryClient) -> None:
    assert suggest({"text": "oh teh"}, client) == {"edits": [], "completions": []}
    assert suggest({"text": "see you tomo"}, client)["completions"] == ["tomorrow"]
    assert suggest({"text": "see you tomo "}, client)["completions"] == []


def test_words_somebody_wants_left_are_left(client: MemoryClient) -> None:
    assert suggest({"text": "teh wiat!", "keep": ["teh", 7]}, client)["edits"][0]["typed"] == "wiat"


@pytest.mark.parametrize("asked", [None, 7, [], {}, {"text": 3}, {"text": " "}, {"text": "x" * 100_000}])
def test_what_is_no_text_gets_no_offer(asked: object, client: MemoryClient) -> None:
    assert suggest(asked, client) == {}


def test_a_service_that_is_busy_offers_nothing_and_says_nothing(client: MemoryClient) -> None:
    client.failing = ServiceError(429, "overloaded", "too much at once")
    assert suggest({"text": "teh end"}, client) == {}
