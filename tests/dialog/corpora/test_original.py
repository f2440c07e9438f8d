"""The readers of the corpora's published files, on excerpts written by hand in each file's layout."""

import gzip
import json
from pathlib import Path
from zipfile import ZipFile

import pytest

from dialog.conversation import Conversation
from dialog.corpora import MissingCorpus, gold, load_corpus, read
from dialog.corpora.ekman import OWN_LABELS, TO_EKMAN
from dialog.corpora.goemotions import LABELS
from dialog.corpora.original import ORIGINS
from dialog.labels import LABEL_SETS

MELD = """Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\r
1,"Well, that’s new. ",Ann,surprise,positive,0,0,3,19,"00:14:38,127","00:14:40,378"\r
2,Is it?,Bob,neutral,neutral,0,2,3,19,"00:14:40,629","00:14:47,385"\r
3,Go away!,Ann,anger,negative,7,0,3,20,"00:01:00,000","00:01:01,000"\r
"""

EMORYNLP = """Utterance,Speaker,Emotion,Scene_ID,Utterance_ID,Season,Episode,Start_Time,End_Time
"Oh, no!",['Ann Lee'],Scared,1,1,1,2,00:00:02.877,00:00:07.548
Shut up!,"['Ann Lee', 'Bob Ray']",Mad,1,3,1,2,00:00:04.504,00:00:07.548
All right.,"[""Ann's Sister""]",Peaceful,12,1,1,2,00:00:04.504,00:00:07.548
"""

EMOCONTEXT = 'id\tturn1\tturn2\tturn3\tlabel\r\n0\tHow r u\tfine "thanks\t:)  great\thappy\r\n1\ta\tb\tc\tothers\r\n'

GOEMOTIONS = 'I "like it\t17,4\tabc1\nWhat?\t27\tabc2\n'

ECF = """7 3
(2,1),(2,2)
1 | Ann | neutral | I fell . | Show_S1E2: 00:00:01.000 - 00:00:02.000
2 | Bob | sadness | Oh no ! | Show_S1E2: 00:00:03.000 - 00:00:04.000
3 | Ann | neutral | Fine . | Show_S1E2: 00:00:05.000 - 00:00:06.000
9 1

1 | Cy | joy | Yes | Show_S1E3: 00:00:05.000 - 00:00:06.000
"""

RECCON = {
    "tr_5": [
        [
            {"turn": 1, "speaker": "A", "utterance": "I won . ", "emotion": "happy"}
            | {"expanded emotion cause evidence": [1, "b"], "expanded emotion cause span": ["won", "b"]}
            | {"type": ["no-context", "latent"], "explanation": "A race."},
            {"turn": 2, "speaker": "B", "utterance": "Good !", "emotion": "happines"}
            | {"expanded emotion cause evidence": [1], "expanded emotion cause span": ["I won"], "type": ["hybrid"]},
            {"turn": 3, "speaker": "A", "utterance": "Thanks .", "emotion": "neutral"},
        ]
    ]
}


def test_meld_keeps_dialogues_apart_and_the_original_numbers(tmp_path: Path) -> None:
    (tmp_path / "dev_sent_emo.csv").write_text(MELD, encoding="utf-8", newline="")
    first, second = read(tmp_path / "dev_sent_emo.csv")
    assert (first.id, second.id) == ("meld_dev_0", "meld_dev_7")
    assert [u.text for u in first.utterances] == ["Well, that’s new.", "Is it?"]
    assert [u.speaker for u in first.utterances] == ["Ann", "Bob"]
    assert first.utterances[1].extra == {"sentiment": "neutral", "source_index": 2}
    assert first.extra == {"season": 3, "episode": 19}
    assert second.utterances[0].emotion == "anger"


def test_emorynlp_joins_people_who_speak_together(tmp_path: Path) -> None:
    (tmp_path / "emorynlp_train_final.csv").write_text(EMORYNLP, encoding="utf-8")
    first, second = read(tmp_path / "emorynlp_train_final.csv")
    assert (first.id, second.id) == ("emorynlp_s01_e02_c01", "emorynlp_s01_e02_c12")
    assert [u.speaker for u in first.utterances] == ["Ann Lee", "Ann Lee, Bob Ray"]
    assert [u.emotion for u in first.utterances] == ["scared", "mad"]
    assert second.utterances[0].speaker == "Ann's Sister"
    assert first.utterances[1].extra["source_index"] == 3


def daily(folder: Path, split: str, acts: str = "2 1 \n1 \n", emotions: str = "6 0 \n4 \n") -> Path:
    texts = "Why ? __eou__ It 's so . __eou__\n Good . __eou__ Bye . __eou__\n"
    with ZipFile(folder / f"{split}.zip", "w") as archive:
        for part, text in (("", texts), ("act_", acts), ("emotion_", emotions)):
            archive.writestr(f"{split}/dialogues_{part}{split}.txt", text)
    return folder / f"{split}.zip"


def test_dailydialog_alternates_speakers_and_leaves_a_missing_label_open(tmp_path: Path) -> None:
    first, second = read(daily(tmp_path, "validation"))
    assert [(u.speaker, u.text, u.emotion) for u in first.utterances] == [
        ("A", "Why ?", "surprise"),
        ("B", "It 's so .", "neutral"),
    ]
    assert [u.extra["act"] for u in first.utterances] == ["question", "inform"]
    assert [u.emotion for u in second.utterances] == ["happiness", None]
    assert first.id == "dailydialog_validation_0"


def test_emocontext_labels_the_third_turn_alone(tmp_path: Path) -> None:
    (tmp_path / "valid.txt").write_text(EMOCONTEXT, encoding="utf-8", newline="")
    first, second = read(tmp_path / "valid.txt")
    assert first.id == "emocontext_valid_0"
    assert [u.emotion for u in first.utterances] == [None, None, "happy"]
    assert [u.speaker for u in first.utterances] == ["user", "bot", "user"]
    assert first.utterances[1].text == 'fine "thanks'
    assert gold(second, "emocontext") == [None, None, "others"]


def test_goemotions_has_several_labels_and_one_counts(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text(GOEMOTIONS, encoding="utf-8")
    first, second = read(tmp_path / "train.tsv")
    assert first.utterances[0].extra["emotions"] == ["joy", "approval"]
    assert gold(first, "goemotions") == [None]
    assert gold(second, "goemotions") == ["neutral"]
    assert second.id == "goemotions_abc2"


def test_reccon_counts_causes_from_zero_and_knows_the_latent_one(tmp_path: Path) -> None:
    (tmp_path / "dailydialog_train.json").write_text(json.dumps(RECCON))
    (one,) = read(tmp_path / "dailydialog_train.json")
    assert one.id == "reccon_dd_tr_5"
    assert one.extra["source_id"] == "tr_5"
    assert [u.emotion for u in one.utterances] == ["happiness", "happiness", "neutral"]
    assert one.utterances[0].extra["causes"] == [{"utterance": 0, "span": "won"}, {"utterance": None, "span": None}]
    assert "causes" not in one.utterances[2].extra


def test_ecf_pairs_become_causes(tmp_path: Path) -> None:
    (tmp_path / "dev.txt").write_text(ECF)
    first, second = read(tmp_path / "dev.txt")
    causes = [{"utterance": 0, "span": None}, {"utterance": 1, "span": None}]
    assert [u.extra["causes"] for u in first.utterances] == [[], causes, []]
    assert first.utterances[1].extra["source"] == "Show_S1E2"
    assert (second.id, len(second.utterances)) == ("ecf_9", 1)


def test_a_name_two_corpora_share_is_told_by_content(tmp_path: Path) -> None:
    for text, expected in ((EMOCONTEXT, "emocontext_train_0"), (ECF, "ecf_7")):
        (tmp_path / "train.txt").write_text(text, encoding="utf-8", newline="")
        assert next(read(tmp_path / "train.txt")).id == expected


@pytest.mark.parametrize("corpus", ORIGINS)
def test_what_is_no_such_file_is_refused(corpus: str, tmp_path: Path) -> None:
    for split, name in ORIGINS[corpus].files.items():
        (tmp_path / corpus).mkdir(exist_ok=True)
        (tmp_path / corpus / name).write_text('{"a": 1}\nfoo\n')
        with pytest.raises(ValueError, match=name):
            load_corpus(tmp_path, corpus, split)


def test_a_corpus_is_read_from_whichever_file_is_there(tmp_path: Path) -> None:
    (tmp_path / "dailydialog").mkdir()
    original = list(read(daily(tmp_path / "dailydialog", "test")))
    assert load_corpus(tmp_path, "dailydialog", "test") == original
    ours = [Conversation.from_dict({"id": "ours", "utterances": []})]
    with gzip.open(tmp_path / "dailydialog" / "test.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(c.to_dict()) + "\n" for c in ours)
    assert load_corpus(tmp_path, "dailydialog", "test") == ours


def test_a_missing_corpus_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(
        MissingCorpus, match=r"meld train: expected .*train_sent_emo.csv from github.com/declare-lab/MELD"
    ):
        load_corpus(tmp_path, "meld", "train")
    with pytest.raises(MissingCorpus, match="iemocap"):
        load_corpus(tmp_path, "iemocap", "train")
    with pytest.raises(ValueError, match="an original file of a corpus"):
        list(read(tmp_path / "notes.txt"))


def test_every_label_of_a_corpus_has_its_place_among_ekmans_or_none_on_purpose() -> None:
    assert set(OWN_LABELS["goemotions"]) == set(LABELS)
    for corpus, mapping in TO_EKMAN.items():
        assert set(mapping.values()) <= set(LABEL_SETS["ekman"])
        assert set(mapping) <= set(OWN_LABELS[corpus])
    assert set(OWN_LABELS["emorynlp"]) - set(TO_EKMAN["emorynlp"]) == {"peaceful", "powerful"}
