"""`own_chats.jsonl`: 40 ordinary chats of our own, labelled before any model read them.

They are for `rapport evaluate behaviour` and nothing else: never trained on, never chosen by. Each utterance has one or
two labels that readers would accept, `accepted`, whose first is `emotion`; `named` says whether a word of the message
names a feeling; `causes` are marked on 123 of the feelings, as RECCON marks them (the clause that says why, in the
message itself or before).
"""

import json
from collections import Counter
from pathlib import Path

from dialog.labels import LABEL_SETS

CHATS = [json.loads(line) for line in (Path(__file__).parents[1] / "own_chats.jsonl").read_text("utf-8").splitlines()]
UTTERANCES = [u for c in CHATS for u in c["utterances"]]


def test_every_message_has_one_or_two_labels_and_the_first_is_its_emotion() -> None:
    for u in UTTERANCES:
        assert 1 <= len(set(u["accepted"])) == len(u["accepted"]) <= 2, u
        assert set(u["accepted"]) <= set(LABEL_SETS["ekman"]), u
        assert u["emotion"] == u["accepted"][0], u
        assert ("named" in u) == (u["emotion"] != "neutral"), u


def test_there_are_enough_of_every_label_to_score() -> None:
    first = Counter(u["emotion"] for u in UTTERANCES)
    assert len(UTTERANCES) >= 200
    assert min(first[label] for label in LABEL_SETS["ekman"]) >= 12
    assert 0.35 < 1 - first["neutral"] / len(UTTERANCES) < 0.5
    assert sum(u.get("named") is False for u in UTTERANCES) > 50


def test_causes_are_words_of_the_message_itself_or_of_an_earlier_one_and_only_feelings_have_them() -> None:
    caused = 0
    for c in CHATS:
        for place, u in enumerate(c["utterances"]):
            for cause in u.get("causes", ()):
                assert u["emotion"] != "neutral", u
                assert cause["utterance"] <= place, u
                assert cause["span"] in c["utterances"][cause["utterance"]]["text"], u
            caused += bool(u.get("causes"))
    assert caused >= 60
