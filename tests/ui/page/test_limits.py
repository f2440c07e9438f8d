"""Whatever the limits of a service are, the page sends it nothing that is then refused for them."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from serve.api import create_api
from serve.client import Client, ServiceError
from serve.config import AppConfig
from serve.edge.limits import Limits
from serve.emotion.choice import Choice
from serve.emotion.deployment import Taggers
from serve.emotion.labeller import LocalLabeller
from serve.pictures.deployment import Pictures
from serve.pictures.viewer import LocalViewer
from serve.replies.answerer import LocalAnswerer
from serve.replies.deployment import Responders
from serve.storage import Storage
from tests.serve.conftest import CATALOGUE, NO_ENGINE, TAGGER
from tests.serve.in_process import InProcess
from ui.page import batch_tab
from ui.page.chat import tab as chat_tab
from ui.page.conversation import run as conversation_run
from ui.page.limits import largest_file, limits_of
from ui.page.picture import tab as picture_tab

LOW = {
    "characters_per_utterance": 11,
    "characters_per_name": 8,
    "utterances_per_request": 7,
    "conversations_per_request": 2,
    "body_bytes": 5_000,
    "log_bytes": 300,
    "picture_bytes": 200,
    "characters_per_question": 9,
}
LOG = "".join(f"{'Ann' if i % 2 else 'Somebody with a name'}: great news number {i} 😊\n" for i in range(40))
TEXTS = "\n".join(f'{{"id": "{"i" * i}", "utterances": [{{"speaker": "a", "text": "b"}}]}}' for i in range(1, 20))


class Watching(InProcess):
    """Remembers what was refused."""

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self.refused: list[Any] = []
        self.asked: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        self.asked.append(request.url.path)
        if response.status_code >= 400:
            self.refused.append(response.json())
        return response


Serving = Callable[..., tuple[Client, Watching]]


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """A client of a service with these limits."""
    config = AppConfig(tagger=TAGGER, catalogue=CATALOGUE, data_dir=tmp_path, visual=NO_ENGINE)  # type: ignore[arg-type]
    storage, clients = Storage(tmp_path / "test.sqlite"), list[Client]()
    labeller, viewer = LocalLabeller(Taggers(TAGGER)), LocalViewer(Pictures(config))

    def serve(**limits: Any) -> tuple[Client, Watching]:
        watching = Watching(
            create_api(
                labeller, viewer, LocalAnswerer(Responders(config)), Choice.of(config), storage, Limits(**limits)
            )
        )
        clients.append(Client("http://test", transport=watching))
        return clients[-1], watching

    yield serve
    for client in clients:
        client.close()
    storage.close()


@pytest.mark.parametrize("log", [LOG, TEXTS], ids=["one long conversation", "many short ones"])
@pytest.mark.parametrize("lowered", [{}, LOW, {"body_bytes": 5_000}, {"characters_per_name": 3}])
def test_a_log_is_sent_in_requests_the_service_takes(serving: Serving, log: str, lowered: dict[str, Any]) -> None:
    client, watching = serving(**{"log_bytes": 300, **lowered})
    *_, state = conversation_run.run(log.encode(), filename="", format="auto", client=client)
    assert state.done
    assert watching.refused == []
    whole = state.log.conversations[0]
    assert whole.utterances[-1].prediction is not None
    if lowered == LOW and log is LOG:
        assert [u.prediction is not None for u in whole.utterances] == [False] * 33 + [True] * 7
        assert {w.code for w in whole.warnings} == {"not-whole", "cut"}  # type: ignore[attr-defined]


def test_a_conversation_whose_request_would_be_too_large_is_read_from_its_end(serving: Serving) -> None:
    client, watching = serving(body_bytes=20_000, log_bytes=300)
    long = '😊 quoted " and \\ ' * 40
    log = "".join(f"Ann: {long}{i}\n" for i in range(60))
    *_, state = conversation_run.run(log.encode(), filename="", format="auto", client=client)
    assert state.done
    assert watching.refused == []
    labelled = [u.prediction is not None for u in state.log.conversations[0].utterances]
    assert 10 < sum(labelled) < 60
    assert labelled == sorted(labelled)


def said(text: str, client: Client, speaker: str = "Ann") -> dict[str, Any]:
    return chat_tab.answer({"act": "say", "chat": None, "speaker": speaker, "text": text}, client)


def test_messages_questions_logs_and_pictures_beyond_a_limit_are_not_sent(serving: Serving, tmp_path: Path) -> None:
    client, watching = serving(**LOW)
    client.limits()
    before = len(watching.asked)
    message = said("x" * 12, client)
    name = said("hi", client, "Maximilian")
    renamed = chat_tab.answer({"act": "rename", "chat": "a" * 32, "old": "Max", "new": "Maximilian"}, client)
    (tmp_path / "log.txt").write_text(LOG)
    options: dict[str, Any] = {"input_format": "auto", "to": "jsonl", "anonymise": False}
    batch = batch_tab.begin(batch_tab.BatchesState(), str(tmp_path / "log.txt"), client=client, **options)
    photo = io.BytesIO()
    Image.new("RGB", (200, 200)).save(photo, "JPEG")
    (tmp_path / "photo.jpg").write_bytes(photo.getvalue())
    *_, picture = picture_tab.open_file(picture_tab.PictureState(), str(tmp_path / "photo.jpg"), client)
    for notice, words in (
        (message["notice"], "at most 11 fit"),
        (name["notice"], "at most 8 fit"),
        (renamed["notice"], "at most 8 fit"),
        (batch.notice, "this page takes 300 bytes"),
        (picture.notice, "at most 200 bytes"),
    ):
        assert words in notice
    assert "at most 11" in message["refused"], "the browser keeps it"
    assert watching.asked[before:] == []
    assert "Up to 300 bytes here" in batch_tab.introduction(client)


def test_a_message_as_long_as_may_be_is_taken(serving: Serving) -> None:
    client, watching = serving(characters_per_utterance=11, body_bytes=5_000)
    assert said("😊" * 11, client)["total"] == 1
    assert watching.refused == []
    client, watching = serving(body_bytes=5_000)
    text = "\u0001" * limits_of(client).text
    said(text, client)
    assert watching.refused == []


def test_where_the_service_does_not_say_its_limits_nothing_is_sent_and_nothing_lost() -> None:
    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there")

    client = Client("http://test", transport=httpx.MockTransport(down))
    told = said("hello", client)
    assert "does not answer" in told["notice"]
    assert told["again"] > 0, "the browser keeps it and sends it again"
    with pytest.raises(ServiceError):
        limits_of(client)


@pytest.mark.parametrize(("page_bytes", "largest"), [(110 * 2**20, 104 * 2**20), (2**20, 2**20 - 2**16), (10, 1)])
def test_gradio_takes_no_file_that_the_door_would_refuse(page_bytes: int, largest: int) -> None:
    assert largest_file(page_bytes) == largest
