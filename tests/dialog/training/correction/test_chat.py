"""Typing badly, and learning what was meant."""

import gzip
import json
import random
from collections import Counter
from pathlib import Path

import pytest
import torch

from dialog.corpora.typos import Slip, lexnorm, tidy, typo_pairs
from dialog.correction.corrector import TextCorrector
from dialog.correction.keyboard import count_slips
from dialog.correction.lexicon import N_FEATURES, Lexicon
from dialog.training.correction.chat import CorrectionRecipe, Places, choose_margins, places, train_correction
from dialog.training.correction.data import lesson, lessons, make_lexicon, make_noise, tokens, without_some
from dialog.training.correction.slips import Noise, Typed
from models.corrector import CorrectorConfig

SENTENCES = [
    "i want the coffee now please",
    "the cat sat on the mat",
    "can you see the house tomorrow",
    "we want coffee",
]
PAIRS = [
    ("teh", "the"),
    ("cofee", "coffee"),
    ("coffe", "coffee"),
    ("wnat", "want"),
    ("hosue", "house"),
    ("plase", "please"),
]


def rows(path: Path, found: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.write("\n".join(json.dumps(row) for row in found))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for split in ("train", "validation"):
        said = [
            {
                "id": f"{split}{i}",
                "utterances": [{"speaker": "A", "text": f"{s} {'ok' if split == 'validation' else ''}"}],
            }
            for i, s in enumerate(SENTENCES * 12)
        ]
        rows(root / "meld" / f"{split}.jsonl.gz", said)
    rows(root / "typo_pairs" / "train.jsonl.gz", [{"typo": t, "correction": c} for t, c in PAIRS * 3])
    rows(root / "lexnorm2015" / "test.jsonl.gz", [{"input": ["u", "there"], "output": ["you", "there"]}])
    return root


def test_slips_are_read_from_their_files(data: Path) -> None:
    assert typo_pairs(data, "train")[0] == Slip("teh", "the")
    assert lexnorm(data, "test")[0].meant == ("you", "there")
    with pytest.raises(ValueError, match=r"expected .*typo_pairs/test\.jsonl\.gz"):
        typo_pairs(data, "test")


def test_marks_that_a_corpus_set_apart_go_back_to_their_words() -> None:
    assert tidy("I ' m here , you don 't ? ok .") == "I'm here, you don 't? ok."


def test_words_are_typed_badly_at_the_rate_asked_for_and_no_others_are_hit() -> None:
    noise = Noise(count_slips(PAIRS), {"coffee": ["cofee"]})
    rng = random.Random(0)
    words = ["coffee", "house", "9", "tomorrow"] * 500
    typed = noise.type(words, [w != "9" for w in words], 0.2, rng)
    hit = sum(t != m for t, m in zip(typed.typed, typed.meant, strict=True))
    assert 0.13 < hit / 1500 < 0.22  # some slips come to nothing, and two words may become one
    assert typed.typed.count("9") == 500
    assert " ".join(typed.meant).split() == words
    assert noise.type(words, [True] * len(words), 0.0, rng).typed == tuple(words)
    assert "cofee" in typed.typed


def test_the_lexicon_leaves_out_known_slips_and_words_met_too_seldom() -> None:
    counts = Counter({"the": 1_000, "teh": 30, "dont": 200, "don't": 900, "zebra": 3, "can't": 50})
    lexicon = make_lexicon(counts, [Slip("teh", "the")], least=4)
    assert lexicon.words == ["the", "don't", "can't"]


def test_a_lesson_asks_where_there_is_doubt_and_knows_the_answer() -> None:
    lexicon = make_lexicon(Counter({"the": 3_000, "cat": 40, "cats": 30, "mat": 20}), [])
    found = lesson(Typed(("teh", "cat", "zzz", "."), ("the", "cat", "cat", ".")), [True, True, True, False], lexicon)
    assert [(p.at, p.right > 0) for p in found.places] == [(0, True), (1, False)]
    (first, _) = found.places
    assert first.candidates[first.right - 1] == "the"
    assert {len(f) for f in first.features} == {N_FEATURES}


def test_the_same_message_and_seed_give_the_same_slips(data: Path) -> None:
    noise, lexicon = make_noise(data), make_lexicon(Counter({"the": 90, "coffee": 40, "want": 30}), [])
    once, again, other = (lessons(SENTENCES * 5, noise, lexicon, seed) for seed in (1, 1, 2))
    assert once == again != other
    assert tokens("Teh 👍 cat's")[0] == ["teh", "👍", "cat's"]


def test_it_learns_to_mend_and_to_leave_alone(data: Path, tmp_path: Path) -> None:
    recipe = CorrectionRecipe(
        network=CorrectorConfig(d_model=24, d_char=8, n_filters=(8, 12, 12), d_query=12, d_word=8, n_words=20),
        **{"corpora": ("meld",), "spoken": ("meld",), "n_messages": 400, "steps": 60, "least": 2, "batch_words": 60},
        lr=1e-2,
        false_changes=3.0,
    )
    scores = train_correction(recipe, data, tmp_path, seed=1)
    corrector = TextCorrector.load(str(tmp_path))
    assert scores["false_change_rate"] <= 3.0
    assert scores["repair_rate"] > 30.0
    assert corrector.correct("the cat sat on the mat").edits == ()
    noise = make_noise(data)
    held = lessons(SENTENCES * 20, noise, corrector.lexicon, 7)
    found = places(corrector.network, held, corrector.lexicon)
    for known in (False, True):
        assert found.repaired(-0.2, known=known) >= found.repaired(0.9, known=known)
        assert found.spoilt(-0.2, known=known) >= found.spoilt(0.9, known=known)
    assert found.n_slips > 0
    assert found.unknown_spoilt(1.0) == 0.0
    again = train_correction(recipe, data, tmp_path / "again", seed=2, start=tmp_path)
    assert again["n_lexicon"] == scores["n_lexicon"]
    assert "--start BEFORE" in (tmp_path / "again" / "card.md").read_text()
    assert (tmp_path / "card.md").read_text().startswith("# correction/chat")
    assert not list(tmp_path.glob("checkpoint*"))


def test_margins_are_the_lowest_that_spoil_no_more_than_is_allowed() -> None:
    gain = torch.tensor([0.9, 0.5, 0.3, 0.8, 0.1])
    clean = torch.tensor([False, True, False, True, False])
    known = torch.tensor([False, False, False, True, True])
    found = Places(gain, ~clean, clean, known, n_slips=3, n_clean=100)
    none = choose_margins(found, CorrectionRecipe(false_changes=0.5))
    assert none == (0.5, 0.8)
    assert choose_margins(found, CorrectionRecipe(false_changes=20.0, unknown_changes=100.0)) == (-0.2, -0.2)


def test_a_common_words_slip_that_keeps_coming_back_is_no_word() -> None:
    counts = Counter({"tomorrow": 1_000, "tommorow": 5, "receive": 900, "recieve": 9, "losing": 50, "loosing": 8})
    lexicon = make_lexicon(counts, [])
    assert "recieve" not in lexicon
    assert "loosing" in lexicon
    assert "tommorow" not in lexicon


def test_a_word_of_english_is_no_slip_though_somebody_wrote_it_for_another() -> None:
    counts = Counter({"can": 9_000, "cat": 60, "definitely": 5_000, "definately": 80, "it's": 9_000, "its": 60})
    slips = [Slip("cat", "can"), Slip("definately", "definitely")]
    lexicon = make_lexicon(counts, slips, frozenset({"cat", "its"}))
    assert "cat" in lexicon
    assert "its" in lexicon
    assert "definately" not in lexicon


def test_half_of_the_messages_are_read_without_some_seldom_words() -> None:
    counts = {"the": 900, **{f"word{chr(97 + i)}": 20 for i in range(26)}}
    poorer = without_some(Lexicon(counts), 0)
    assert "the" in poorer
    assert 8 < len(poorer.words) < 26
