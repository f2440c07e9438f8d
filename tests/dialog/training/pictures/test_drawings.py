"""Teaching a model to read drawings by their parts: it learns, it resumes, and photographs are seen as before."""

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw

from dialog.corpora.derived.visual_examples import Talk, load_talks
from dialog.evaluation.pictures.validation import accuracies, predict
from dialog.pictures.bank import Bank
from dialog.pictures.seqdialn import VisualDialog
from dialog.training.pictures.drawings import train_drawings
from tests.dialog.tiny_visual import make_visual, picture


def drawing(n: int, colour: str, shift: int) -> Image.Image:
    """So many squares of a colour on white."""
    whole = Image.new("RGB", (90, 80), "white")
    for i in range(n):
        x, y = 2 + 16 * i + shift, 5 + 14 * i
        ImageDraw.Draw(whole).rectangle((x, y, x + 9, y + 9), fill=colour)
    return whole


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawings of three to five squares, red or not, of which it is said that there are four and that they are red."""
    root = tmp_path_factory.mktemp("vision")
    rows = list[dict[str, Any]]()
    (root / "nlvr").mkdir()
    with tarfile.open(root / "nlvr" / "images-000.tar", "w") as tar:
        for i in range(60):
            n, colour = 3 + i % 3, "red" if i // 3 % 2 else "blue"
            name = f"{'dev' if i < 40 else 'test'}-{i}-0-0"
            content = io.BytesIO()
            drawing(n, colour, i % 5).save(content, "PNG")
            member = tarfile.TarInfo(f"{name}.png")
            member.size = content.tell()
            content.seek(0)
            tar.addfile(member, content)
            said, true = ("there are four", n == 4) if i // 6 % 2 else ("it is red", colour == "red")
            rows.append(
                {"image": name, "split": name.split("-")[0], "statement": said, "label": "true" if true else "false"}
            )
    for collection, table in (("easyvqa", "rounds"), ("nlvr", "statements"), ("daquar", "rounds"),
                              ("flickr8k", "captions"), ("flickr8k", "statements")):  # fmt: skip
        (root / collection).mkdir(exist_ok=True)
        with gzip.open(root / collection / f"{table}.jsonl.gz", "wt") as file:
            file.write("\n".join(map(json.dumps, rows if collection == "nlvr" else [])))
    return root


@pytest.fixture(scope="module")
def untaught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_visual(tmp_path_factory.mktemp("untaught"), question_reads="previous", learned_nothing=True)
    dialog = VisualDialog.load(folder)
    dialog.options = torch.randn(dialog.options.shape, generator=torch.Generator().manual_seed(0))  # as if trained
    return dialog.save(folder)


def test_it_learns_to_count_and_keeps_what_it_knew_of_photographs(data: Path, untaught: Path, tmp_path: Path) -> None:
    train_drawings(data, tmp_path, start=untaught, steps=130)
    old, new = VisualDialog.load(untaught), VisualDialog.load(tmp_path)
    talks, bank = load_talks(data, "test"), Bank()
    bank.see(data, {(t.collection, t.image) for t in talks}, new.eyes)
    bank.read([r.question for t in talks for r in t.rounds] + ["yes", "no"], new.reader)
    alone = [Talk(t.collection, t.image, (r,)) for t in talks for r in t.rounds]
    assert accuracies(new, predict(new, bank, alone))["nlvr"] > 80  # the commoner answers: 60
    for name, tensor in old.network.state_dict().items():
        assert torch.equal(new.network.state_dict()[name], tensor)
    answers = [d.ask(d.start(d.look(picture())), "is it red ?")[0] for d in (old, new)]
    assert answers[0] == answers[1]
    look = new.look(drawing(4, "red", 0))
    answer, state = new.ask(new.start(look), "there are four")
    assert answer.text == "yes"
    assert len(answer.regions) == len(look.boxes) == 6  # the whole, its ground, four squares
    assert new.ask(new.restore(state.to_bytes()), "is it red ?")[0] == new.ask(state, "is it red ?")[0]


def test_a_killed_run_goes_on_to_the_same_weights(data: Path, untaught: Path, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(progress: Any) -> None:
        if progress.step == progress.steps:
            raise Killed

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train_drawings(data, whole, start=untaught, seed=2, steps=6)
    with pytest.raises(Killed):
        train_drawings(data, cut, start=untaught, seed=2, steps=6, report=kill)
    train_drawings(data, cut, start=untaught, seed=2, steps=6)
    one, two = (VisualDialog.load(folder).network.state_dict() for folder in (whole, cut))
    assert all(torch.equal(one[k], two[k]) for k in one)
