"""A newcomer follows docs/extending.md. The mixer has tests of its own, in tests/models/mixers/test_newcomer.py."""

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from dialog.conversation import Conversation
from dialog.corpora import ekman as ekman_labels
from dialog.corpora import gold, load_corpus, original, read
from dialog.formats import READERS, Unreadable, write, writers
from dialog.formats import read as read_log
from dialog.pictures import engines
from dialog.training.emotion import recipes
from dialog.training.emotion.examples import load_source
from models.catalogue import REPLY
from serve.config import RepliesConfig
from tests.dialog.formats import test_every_reader as every_reader
from tests.dialog.tiny import chat, make_encoder
from tests.dialog.tiny_visual import picture
from tests.docs.extending import SECTIONS, Newcomer, blocks
from ui.commands.main import run


@pytest.fixture
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Newcomer:
    return Newcomer(tmp_path, monkeypatch)


def test_every_section_is_tried() -> None:
    assert list(SECTIONS) == ["A mixer", "A corpus", "An encoder", "A responder", "An engine", "A format"]


def test_a_corpus_is_read_learned_from_and_scored(newcomer: Newcomer, tmp_path: Path) -> None:
    source, origin, to_ekman, own_labels, recipe = blocks("A corpus")
    diary = newcomer.file("dialog.corpora.diary", source)
    assert newcomer.row(original.ORIGINS, origin, vars(original) | {"diary": diary}) == "diary"
    newcomer.row(ekman_labels.TO_EKMAN, to_ekman, vars(ekman_labels))
    newcomer.row(ekman_labels.OWN_LABELS, own_labels, vars(ekman_labels))
    (tmp_path / "diary").mkdir()
    lines = {"train": "glad\tToday was the best day\nlow\tI slept all day\n", "test": "low\tI slept all day\n"}
    for split, text in lines.items():
        (tmp_path / "diary" / diary.FILES[split]).write_text(text, "utf-8")

    loaded = load_corpus(tmp_path, "diary", "train")
    assert [gold(c, "diary") for c in loaded] == [["glad"], ["low"]]
    assert list(read(tmp_path / "diary" / diary.FILES["train"])) == loaded
    assert set(ekman_labels.TO_EKMAN["diary"].values()) <= set(ekman_labels.OWN_LABELS["meld"])
    assert ekman_labels.OWN_LABELS["diary"][0] == "afraid"

    names = dict(vars(recipes))
    exec(recipe, names)
    made = names["ekman_and_diary"]()
    assert made == replace(recipes.ekman(), sources=made.sources)
    assert load_source(made.sources[-1], tmp_path, 0)[0] == loaded[0]


def test_a_corpus_that_is_damaged_says_where(newcomer: Newcomer, tmp_path: Path) -> None:
    diary = newcomer.file("dialog.corpora.diary", blocks("A corpus")[0])
    (tmp_path / "bad.tsv").write_text("glad\tfine\nno tab here\n", "utf-8")
    with pytest.raises(ValueError, match="line 2: expected a feeling"):
        list(diary.read(tmp_path / "bad.tsv"))


def test_an_emotion_model_stands_on_another_encoder(tmp_path: Path) -> None:
    names: dict[str, Any] = {"FOLDER": str(make_encoder(tmp_path))}
    exec(blocks("An encoder")[0], names)
    (labelled,) = names["tagger"].tag([chat("Ann: hello you", "Bo: i am so happy")])
    assert all(u.prediction and u.prediction.emotion in names["LABEL_SETS"]["ekman"] for u in labelled.utterances)


def test_a_picture_encoder_sees_regions(newcomer: Newcomer) -> None:
    made = newcomer.file("models.encoders.colour_grid", blocks("An encoder")[1]).ColourGrid().eval()
    seen = made.encode([picture(), picture()])
    assert seen.vectors.shape == (2, made.n_regions, made.d_model)
    assert seen.boxes.shape == (2, made.n_regions, 4)
    assert bool(seen.mask.all())
    assert torch.equal(seen.vectors[0], seen.vectors[1])


def test_responders_are_named_in_the_configuration_the_first_of_them_is_the_default() -> None:
    (told,) = re.findall(r"```yaml\n(.*?)```", SECTIONS["A responder"], re.DOTALL)
    config = RepliesConfig(**yaml.safe_load(told)["replies"])
    assert list(config.responders) == ["reply/built-in", "small", "elsewhere"]
    assert next(iter(config.responders)) == REPLY
    assert (config.opener, config.network) == ("dialog.replies.choosing:open_responder", False)


def test_an_engine_is_opened_by_its_name_and_talks_in_rounds(newcomer: Newcomer) -> None:
    source, row = blocks("An engine")
    module = newcomer.file("dialog.pictures.daylight", source)
    assert newcomer.row(engines.ENGINES, row, vars(module)) == "daylight"
    engine = engines.open_engine("daylight:")
    answer, after = engine.ask(engine.start(engine.look(Image.new("RGB", (8, 8), "white"))), "is it day?")
    assert answer.text == "light"
    again, last = engine.ask(engine.restore(after.to_bytes()), "and now?")
    assert again.text == "light"
    assert last.rounds == (("is it day?", "light"), ("and now?", "light"))
    assert engine.ask(engine.start(engine.look(Image.new("RGB", (8, 8), "black"))), "is it day?")[0].text == "dark"


PLAY = b"ANN\nI finally got\nthe job!!\n\nBO\nNo way, that is wonderful!\n"


@pytest.fixture
def formats(newcomer: Newcomer) -> tuple[str, str]:
    """The names of the reader and the writer, in their tables."""
    reader, reader_row, writer, writer_row = blocks("A format")
    read_in = newcomer.file("dialog.formats.screenplay", reader)
    written = newcomer.file("dialog.formats.marked", writer)
    name = newcomer.row(READERS, reader_row, vars(read_in))
    return name, newcomer.row(writers.WRITERS, writer_row, vars(writers) | vars(written))


def test_a_reader_reads_and_keeps_the_promises_of_every_reader(formats: tuple[str, str]) -> None:
    stray = b"FADE in on a kitchen.\n" + PLAY
    lost, conversation = read_log(io.BytesIO(stray), formats[0], "play")
    assert isinstance(lost, Unreadable)
    assert lost.line == 1
    assert isinstance(conversation, Conversation)
    assert [(u.speaker, u.text) for u in conversation.utterances] == [
        ("Ann", "I finally got the job!!"),
        ("Bo", "No way, that is wonderful!"),
    ]
    for data in (b"", b"\xff\xfe", b"[" * 5000, PLAY * 3, every_reader.spliced(PLAY, [(3, b"\0"), (9, b"\xff")])):
        every_reader.check(data, formats[0])


def test_a_writer_writes_every_item(formats: tuple[str, str]) -> None:
    items = [*read_log(io.BytesIO(b"stray\n" + PLAY), formats[0], "play")]
    out = io.BytesIO()
    write(items, out, formats[1])
    assert out.getvalue().decode().splitlines() == [
        "# play-1: line 1: no name above the text; expected one in capitals",
        "[?] Ann: I finally got the job!!",
        "[?] Bo: No way, that is wonderful!",
        "---",
    ]


def test_a_format_is_taken_by_the_command_line(
    formats: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dialog.emotion.tagger import EmotionTagger
    from tests.serve.fake import FakeTagger

    monkeypatch.setattr(EmotionTagger, "load", lambda *_, **__: FakeTagger("emotion/ekman"))
    (tmp_path / "play.txt").write_bytes(PLAY)
    arguments = ["annotate", str(tmp_path / "play.txt"), "--input-format", formats[0], "--to", formats[1]]
    assert run([*arguments, "-o", str(tmp_path / "out.txt")]) == 0
    assert (tmp_path / "out.txt").read_text("utf-8").startswith("[joy] Ann: I finally got the job!!")
