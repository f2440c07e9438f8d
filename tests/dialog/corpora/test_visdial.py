"""VisDial's published files and our conversion, on excerpts written by hand in their layouts."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dialog.corpora.visdial import MalformedDialogues, read

ORIGINAL: dict[str, Any] = {
    "version": "1.0",
    "split": "val",
    "data": {
        "questions": ["is it day", "what is he doing"],
        "answers": ["yes", "no", "running", "a man"],
        "dialogs": [
            {
                "image_id": 378466,
                "caption": "a man in a park",
                "dialog": [
                    {"question": 0, "answer": 0, "answer_options": [1, 0, 2], "gt_index": 1},
                    {"question": 1, "answer": 2, "answer_options": [2, 1, 3], "gt_index": 0},
                ],
            }
        ],
    },
}


def written(tmp_path: Path, content: Any, name: str = "visdial_1.0_val.json") -> Path:
    path = tmp_path / name
    path.write_text(json.dumps(content))
    return path


def test_the_published_file_is_read_with_its_dense_annotations(tmp_path: Path) -> None:
    for key in ("gt_relevance", "relevance"):  # the val file's word and the train file's
        dense = written(tmp_path, [{"image_id": 378466, "round_id": 2, key: [1, 0.5, 0]}], f"{key}.json")
        (d,) = read(written(tmp_path, ORIGINAL), dense)
        assert (d.image, d.caption, d.split) == ("378466", "a man in a park", "val")
        first, second = d.rounds
        assert (first.question, first.answer, first.options, first.gt) == (
            "is it day",
            "yes",
            ("no", "yes", "running"),
            1,
        )
        assert first.relevance == ()
        assert second.relevance == (1.0, 0.5, 0.0)


def test_our_conversion_is_read_too(tmp_path: Path) -> None:
    rows = [
        {"image": "val-1", "split": "val", "caption": "c", "rounds": [{"q": "a", "a": "b", "options": ["b"], "gt": 0}]},
        {"image": "test-1", "split": "test", "caption": "c", "rounds": [{"q": "a", "options": ["b", "c"]}]},
    ]
    path = tmp_path / "dialogs.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(json.dumps(row) for row in rows).encode()))
    val, test = read(path)
    assert val.rounds[0].gt == 0
    assert (test.rounds[0].answer, test.rounds[0].gt, test.rounds[0].options) == (None, None, ("b", "c"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"gt_index": 7}, "round 1: answer 7 of 3"),
        ({"question": 9}, "dialogue 0"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, change: dict[str, int], says: str) -> None:
    broken = json.loads(json.dumps(ORIGINAL))
    broken["data"]["dialogs"][0]["dialog"][0] |= change
    with pytest.raises(MalformedDialogues, match=says):
        list(read(written(tmp_path, broken)))


def test_files_that_are_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedDialogues, match="no VisDial file"):
        list(read(written(tmp_path, {"questions": []})))
    other = written(tmp_path, [{"image_id": 378466, "round_id": 3, "relevance": [1]}], "dense.json")
    with pytest.raises(MalformedDialogues, match="round 3, which has no options"):
        list(read(written(tmp_path, ORIGINAL), other))
