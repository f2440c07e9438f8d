"""The suites of `rapport bench` in a small form, and the plain EmotionIC they time: it computes what ours does."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dialog.bench import SUITES
from dialog.bench.annotate import encode_once_each
from dialog.bench.chats import made_up_chats
from dialog.bench.official_emotionic import PlainEmotionIC, PlainGRU, PlainSkipCRF, plain_links
from dialog.bench.timing import row, side_by_side, without_cache
from dialog.emotion.tagger import EmotionTagger
from models.emotionic.skip_chain_crf import SkipChainCRF
from models.encoders.text import TextEncoder
from models.mixers.dialog_gru import DialogGRU, DialogGRUConfig
from tests.dialog.tiny import chat, longer, probabilities


def check(answer: dict[str, Any], suite: str) -> list[dict[str, Any]]:
    """The rows of an answer that has the parts every suite has."""
    assert answer["suite"] == suite
    assert answer["device"]
    assert answer["threads"] >= 1
    json.dumps(answer)
    for one in answer["rows"]:
        assert one["name"]
        assert one["ratio"] == pytest.approx(one["seconds"] / one["peer_seconds"])
        assert one["ratio"] > 0
    return answer["rows"]


def test_the_emotion_suite_has_every_row(model_folder: Path) -> None:
    options: dict[str, Any] = {"n_dialogues": 3, "n_utterances": 40, "histories": (2, 5), "repeats": 1}
    rows = check(SUITES["emotion"](model=model_folder, **options), "emotion")
    assert [one["name"] for one in rows] == [
        "context model, batch 32",
        "CRF, best labelling",
        "CRF, log-likelihood and gradient",
        "one live message after 2, context model alone",
        "one live message after 5, context model alone",
        "one live message after 2",
        "one live message after 5",
        "tagger, text to labels",
    ]
    live = [one for one in rows if "live message after 2" in one["name"]]
    assert all(one["ratio"] == 1 for one in live)


def test_the_emotion_suite_times_a_live_message_with_causes_too(model_folder: Path, causes_folder: Path) -> None:
    options: dict[str, Any] = {"n_dialogues": 3, "n_utterances": 40, "histories": (2, 11), "repeats": 1}
    rows = check(SUITES["emotion"](model=model_folder, causes=causes_folder, **options), "emotion")
    names = [one["name"] for one in rows if "causes" in one["name"]]
    assert names == ["one live message after 2, causes on", "one live message after 11, causes on"]


def test_the_annotate_suite_labels_a_file(model_folder: Path, tmp_path: Path) -> None:
    (one,) = check(SUITES["annotate"](model=model_folder, n_utterances=40, repeats=1), "annotate")
    assert one["utterances_per_second"] > 0
    log = tmp_path / "log.txt"
    log.write_text("Ann: hello\nBob: good dog\nAnn: so sad\n")
    answer = SUITES["annotate"](model=model_folder, data=log, repeats=1)
    assert (answer["n_utterances"], answer["data"]) == (3, str(log))
    (tmp_path / "none.jsonl").write_text('{"id": "a", "utterances": []}\n')
    with pytest.raises(ValueError, match="no utterance to annotate"):
        SUITES["annotate"](model=model_folder, data=tmp_path / "none.jsonl", repeats=1)


def test_sides_take_turns() -> None:
    said: list[str] = []
    seconds = side_by_side([lambda: said.append("a"), lambda: said.append("b")], 3)
    assert said == ["a", "b"] * 4
    assert len(seconds) == 2
    assert row("x", 1.0, "y", 4.0, more=2) == {
        **{"name": "x", "seconds": 1.0, "peer": "y", "peer_seconds": 4.0, "ratio": 0.25, "more": 2}
    }


def test_without_a_cache_the_labels_are_the_same(tagger: EmotionTagger) -> None:
    (a,), (b,) = tagger.tag([longer(9)]), without_cache(tagger).tag([longer(9)])
    torch.testing.assert_close(probabilities(a), probabilities(b))


def test_the_peer_encodes_what_our_encoder_does_for_an_utterance_alone(encoder: TextEncoder) -> None:
    texts = ["hello dog", "no", "so happy " * 30]
    got = encode_once_each(encoder, texts, 20)
    assert got.shape == (3, encoder.d_model)
    torch.testing.assert_close(got[1:2], encode_once_each(encoder, ["no"], 20), atol=1e-5, rtol=0)


def test_made_up_chats_are_the_same_for_the_same_seed_and_as_long_as_asked() -> None:
    chats = made_up_chats(3000, seed=1)
    assert made_up_chats(3000, seed=1) == chats
    assert made_up_chats(3000, seed=2) != chats
    words = sorted(len(u.text.split()) for c in chats for u in c.utterances)
    assert len(words) == 3000
    assert 6 <= words[1500] <= 9
    assert words[-1] > 40
    assert len({c.id for c in chats}) == len(chats)


def test_links_of_a_conversation_worked_out_by_hand() -> None:
    def weight(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    links = plain_links(list("AABACABB"))
    assert [earlier for earlier, _, _ in links] == [None, 0, None, 1, None, 3, None, 6]
    between = [None, 0, None, 1, None, 1, None, 0]
    for (_, p_inertia, _), d in zip(links, between, strict=True):
        assert p_inertia == pytest.approx(0 if d is None else weight(3 - d))
    alternation = [None, None, 0, 1, 0, 1, 0, None]  # A-B-A counts 1; C breaks it; A-C-A counts 1; B breaks it
    for (_, _, p_contagion), m in zip(links, alternation, strict=True):
        assert p_contagion == pytest.approx(0 if m is None else weight(m / 2))


patterns = st.lists(st.integers(0, 2), min_size=1, max_size=12)


@given(patterns, st.integers(0, 1000))
def test_the_plain_crf_finds_the_path_ours_finds(speakers: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    ours, plain = SkipChainCRF(3), PlainSkipCRF(3)
    with torch.no_grad():
        for p in ours.parameters():
            p.normal_()
        for name, p in plain.named_parameters():
            p.copy_(getattr(ours, name))
    emissions, ids = torch.randn(len(speakers), 3), torch.tensor(speakers)
    expected, _ = ours.viterbi(emissions[None], ids[None])
    mask = torch.ones(len(speakers), 1, dtype=torch.bool)
    assert plain.decode(emissions[:, None], ids[:, None], mask) == expected.tolist()


@given(patterns)
def test_the_plain_gru_computes_what_ours_computes(speakers: list[int]) -> None:
    torch.manual_seed(0)
    ours, plain = DialogGRU(DialogGRUConfig(d_model=6)).double(), PlainGRU(6, 6).double()
    layer = ours.layers[0]
    with torch.no_grad():
        # Ours stack the gates: inputs r z s n, contagion r z n, inertia z s n.
        for linear, gates in ((plain.x_r, 0), (plain.x_z, 1), (plain.x_s, 2), (plain.x_n, 3)):
            linear.weight.copy_(layer.input.weight[6 * gates : 6 * gates + 6])
            linear.bias.copy_(layer.input.bias[6 * gates : 6 * gates + 6])
        for kind, names in (("contagion", "rzn"), ("inertia", "zsn")):
            for i, name in enumerate(names):
                linear = getattr(plain, f"{kind}_{name}")
                linear.weight.copy_(getattr(layer, f"w_{kind}")[6 * i : 6 * i + 6])
                linear.bias.copy_(getattr(layer, f"b_{kind}")[6 * i : 6 * i + 6])
    x, ids = torch.randn(1, len(speakers), 6, dtype=torch.float64), torch.tensor([speakers])
    expected, _ = ours(x, ids=ids)
    torch.testing.assert_close(plain(x.transpose(0, 1), ids.t()).transpose(0, 1), expected)


def test_the_plain_model_has_the_official_size_and_labels_every_dialogue() -> None:
    sizes = {"attention": 0, "gru": 0}
    plain = PlainEmotionIC(7, 1024)
    for name, p in plain.named_parameters():
        part = name.split(".")[0]
        sizes[part] = sizes.get(part, 0) + p.numel()
    # The sheet counts 41.3 million with 5.2 million that are never used; those are not here.
    assert sizes["attention"] / 1e6 == pytest.approx(41.3 - 5 * (1024**2 + 2) / 1e6, abs=0.1)
    assert sizes["gru"] / 1e6 == pytest.approx(18.5, abs=0.05)
    assert sizes["fuse"] / 1e6 == pytest.approx(2.2, abs=0.05)

    small = PlainEmotionIC(7, 16, d_hidden=24, n_attention_layers=2, n_gru_layers=2, n_heads=2).eval()
    mask = torch.arange(5)[:, None] < torch.tensor([5, 1, 3])
    paths = small.label(torch.randn(5, 3, 16), torch.randint(2, (5, 3)), mask)
    assert [len(path) for path in paths] == [5, 1, 3]


def test_a_chat_of_one_line_is_enough(model_folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "one.jsonl"
    log.write_text(json.dumps(replace(chat("A: hi"), id="x").to_dict()) + "\n")
    assert SUITES["annotate"](model=model_folder, data=log, repeats=1)["n_utterances"] == 1
