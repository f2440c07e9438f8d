"""The engines that are not ours: a transformers model made on the spot, and a service on this machine."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from dialog.pictures.answers import MAX_QUESTION, NOT_KNOWN, BadQuestion, VisualEngine
from dialog.pictures.engines import (
    LONGEST_REPLY,
    NO_WORD,
    EndpointDialog,
    EngineUnavailable,
    TransformersDialog,
    open_engine,
)
from dialog.pictures.seqdialn import VisualDialog
from tests.dialog.tiny_visual import make_visual, picture

VOCABULARY = "user assistant : what is it a dog red ? yes no"
WORDS = VOCABULARY.split()
TEMPLATE = (
    "{% for m in messages %}{{ m.role }} : {% for c in m.content %}"
    "{% if c.type == 'image' %}<image> {% else %}{{ c.text }} {% endif %}{% endfor %}{% endfor %}assistant :"
)


def make_llava(folder: Path, template: str | None = TEMPLATE) -> Path:
    """A Llava of a few thousand random parameters, with its processor, saved as users' models are."""
    words = ["<pad>", "<s>", "</s>", "<unk>", "<image>", *WORDS]
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, additional_special_tokens=["<image>"], **special
    )
    pixels = transformers.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    transformers.LlavaProcessor(
        image_processor=pixels,
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    ).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(image_size=16, patch_size=8, **shape),
        text_config=transformers.LlamaConfig(vocab_size=len(words), **shape),
        image_token_index=4,
        vision_feature_layer=-1,
    )
    transformers.LlavaForConditionalGeneration(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_llava(tmp_path_factory.mktemp("llava"))


def test_any_transformers_model_talks_in_rounds(llava: Path) -> None:
    engine = open_engine(f"transformers:{llava}")
    assert isinstance(engine, TransformersDialog)
    state = engine.start(engine.look(picture()), [("what is it ?", "a dog")], caption="a red dog")
    answer, after = engine.ask(state, "is it red ?")
    assert answer.answers[0].probability is None
    assert after.rounds == (("what is it ?", "a dog"), ("is it red ?", answer.text))
    assert engine.ask(engine.restore(after.to_bytes()), "what ?")[0] == engine.ask(after, "what ?")[0]
    assert engine._prompt(state, "is it red ?") == (
        "user : <image> a red dog\nwhat is it ? assistant : a dog user : is it red ? assistant :"
    )
    with pytest.raises(BadQuestion):
        engine.ask(state, " ")


def test_a_folder_without_such_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="image-text-to-text"):
        open_engine(f"transformers:{tmp_path}")


class Service(BaseHTTPRequestHandler):
    """Answers as OpenAI's API does, and keeps what it was asked."""

    asked: list[dict[str, Any]]
    status = 200
    reply: "bytes | None" = None

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append({"path": self.path, "key": self.headers.get("Authorization"), "body": body})
        n = sum(m["role"] == "user" for m in body["messages"])
        content = json.dumps({"choices": [{"message": {"content": f"answer \n {n}"}}]}) if self.status == 200 else "no"
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(content.encode() if self.reply is None else self.reply)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[tuple[str, type[Service]]]:
    handler = type("OneService", (Service,), {"asked": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", handler
    server.shutdown()
    server.server_close()


def test_a_service_is_sent_the_picture_and_every_round(service: tuple[str, type[Service]]) -> None:
    url, handler = service
    engine = open_engine("openai:see-1", url=url, key="secret")
    state = engine.start(engine.look(picture(0, (3000, 1000))))
    first, state = engine.ask(state, "what is it?")
    second, state = engine.ask(engine.restore(state.to_bytes()), "is it red?")
    assert (first.text, second.text) == ("answer 1", "answer 2")
    sent = handler.asked[1]
    assert sent["path"] == "/v1/chat/completions"
    assert sent["key"] == "Bearer secret"
    assert sent["body"]["model"] == "see-1"
    roles = [m["role"] for m in sent["body"]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    shown, said = sent["body"]["messages"][1]["content"]
    assert said["text"] == "what is it?"
    data = shown["image_url"]["url"].removeprefix("data:image/jpeg;base64,")
    assert max(Image.open(io.BytesIO(base64.b64decode(data))).size) == 1024
    assert b"secret" not in state.to_bytes()


@pytest.fixture(params=["ours", "transformers", "openai"])
def engine(
    request: pytest.FixtureRequest, llava: Path, service: tuple[str, type[Service]], tmp_path: Path
) -> VisualEngine:
    if request.param == "ours":
        return open_engine(str(make_visual(tmp_path)))
    name = f"transformers:{llava}" if request.param == "transformers" else "openai:see-1"
    return open_engine(name, url=service[0])


def test_every_engine_talks_in_rounds_from_states_that_stay_as_they_are(engine: VisualEngine) -> None:
    look = engine.look(picture(0, (90, 60)))
    assert all(0 <= a < c <= 1 and 0 <= b < d <= 1 for a, b, c, d in look.boxes)
    start = engine.start(look, (("what is it ?", "a  dog"),), caption="a red dog")
    assert start.rounds == (("what is it ?", "a dog"),)
    answer, after = engine.ask(start, "is it red ?")
    assert after.rounds == (*start.rounds, ("is it red ?", answer.text))
    assert len(answer.regions) in (0, len(look.boxes))
    assert engine.ask(start, "is it red ?")[0] == answer
    restored = engine.restore(after.to_bytes())
    assert restored.rounds == after.rounds
    assert engine.ask(restored, "what ?")[0] == engine.ask(after, "what ?")[0]


def test_every_engine_refuses_what_is_no_question_and_no_state_of_its_own(engine: VisualEngine) -> None:
    start = engine.start(engine.look(picture()))
    for question in ("", " \n ", "x" * (MAX_QUESTION + 1)):
        with pytest.raises(BadQuestion):
            engine.ask(start, question)
    state = bytearray(start.to_bytes())
    for data in (b"", b"nonsense", bytes(state[: len(state) // 2])):
        with pytest.raises(ValueError, match="state"):
            engine.restore(data)
    other = EndpointDialog("another", "http://127.0.0.1:9")
    with pytest.raises(ValueError, match="state"):
        engine.restore(other.start(other.look(picture())).to_bytes())


@pytest.mark.parametrize(
    "reply",
    [b"", b"[]", b'{"choices": []}', b'{"choices": [{"message": {"content": null}}]}', b"\xff\xfe", b'{"choices": 3}'],
)
def test_a_service_that_answers_in_another_way_is_named(service: tuple[str, type[Service]], reply: bytes) -> None:
    url, handler = service
    handler.reply = reply
    engine = EndpointDialog("see-1", url)
    with pytest.raises(EngineUnavailable, match="did not answer as OpenAI's API does"):
        engine.ask(engine.start(engine.look(picture())), "what?")


def test_who_says_nothing_does_not_know_and_who_says_too_much_is_cut(service: tuple[str, type[Service]]) -> None:
    url, handler = service
    engine = EndpointDialog("see-1", url)
    start = engine.start(engine.look(picture()))
    handler.reply = json.dumps({"choices": [{"message": {"content": " \n "}}]}).encode()
    silent, after = engine.ask(start, "what?")
    assert (silent.known, silent.text, silent.why) == (False, NOT_KNOWN, NO_WORD)
    assert after.rounds == (("what?", NOT_KNOWN),)
    handler.reply = json.dumps({"choices": [{"message": {"content": "word " * 9000}}]}).encode()
    assert len(engine.ask(start, "what?")[0].text) <= LONGEST_REPLY


def test_a_service_that_fails_is_reported_without_its_key(service: tuple[str, type[Service]]) -> None:
    url, handler = service
    engine = EndpointDialog("see-1", url, "secret")
    handler.status = 503
    with pytest.raises(EngineUnavailable, match="answered 503") as told:
        engine.ask(engine.start(engine.look(picture())), "what?")
    assert "secret" not in str(told.value)
    closed = EndpointDialog("see-1", "http://127.0.0.1:9/v1")
    with pytest.raises(EngineUnavailable, match="cannot be reached"):
        closed.ask(closed.start(closed.look(picture())), "what?")


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 502])
def test_a_service_that_refuses_leaves_the_dialogue_as_it_was(service: tuple[str, type[Service]], status: int) -> None:
    url, handler = service
    engine = EndpointDialog("see-1", url)
    _, after = engine.ask(engine.start(engine.look(picture())), "what is it?")
    handler.status = status
    with pytest.raises(EngineUnavailable, match=f"answered {status}"):
        engine.ask(after, "is it red?")
    handler.status = 200
    answer, then = engine.ask(after, "is it red?")
    assert answer.text == "answer 2"
    assert then.rounds == (("what is it?", "answer 1"), ("is it red?", "answer 2"))


def test_a_service_that_hangs_up_or_never_answers_is_named(
    service: tuple[str, type[Service]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, handler = service
    engine = EndpointDialog("see-1", url)
    start = engine.start(engine.look(picture()))

    def cut(self: Service) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "4000")
        self.end_headers()
        self.wfile.write(b'{"choices": [{"message"')

    monkeypatch.setattr(handler, "do_POST", cut)
    with pytest.raises(EngineUnavailable, match="cannot be reached: RemoteProtocolError"):
        engine.ask(start, "what?")
    let_go = threading.Event()
    monkeypatch.setattr(handler, "do_POST", lambda self: let_go.wait(20))
    monkeypatch.setattr("dialog.pictures.engines.SECONDS", 0.3)
    with pytest.raises(EngineUnavailable, match="cannot be reached: ReadTimeout"):
        engine.ask(start, "what?")
    let_go.set()


def test_a_service_needs_an_address_from_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAPPORT_VISUAL_URL", raising=False)
    with pytest.raises(EngineUnavailable, match="RAPPORT_VISUAL_URL"):
        open_engine("openai:see-1")
    monkeypatch.setenv("RAPPORT_VISUAL_URL", "file:///etc/passwd")
    with pytest.raises(EngineUnavailable, match="http"):
        open_engine("openai:see-1")


def test_the_default_engine_is_ours(tmp_path: Path) -> None:
    engine = open_engine(str(make_visual(tmp_path)))
    assert isinstance(engine, VisualDialog)
    other = open_engine("openai:x", url="http://127.0.0.1:9")
    with pytest.raises(ValueError, match="state"):
        other.restore(engine.start(engine.look(picture())).to_bytes())
