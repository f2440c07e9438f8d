import io
import json
from pathlib import Path

import pytest

from dialog.annotation.annotate import AnnotationProgress, annotate
from dialog.conversation import Conversation
from serve.batches.sharing import stretches
from serve.config import AppConfig
from serve.ray.tagger import ray_tagger


def log(*sizes: int) -> list[Conversation]:
    said = {"speaker": "Ann", "text": "a wonderful job"}
    return [Conversation.from_dict({"id": str(i), "utterances": [said] * n}) for i, n in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "n", "expected"),
    [
        ((), 3, []),
        ((5,), 3, [["0"]]),
        ((1, 1, 1, 1), 2, [["0", "1"], ["2", "3"]]),
        ((9, 1, 1, 1), 2, [["0"], ["1", "2", "3"]]),
        ((1, 1, 1, 9), 2, [["0", "1", "2", "3"]]),
        ((0, 0, 0), 2, [["0", "1"], ["2"]]),
    ],
)
def test_parts_keep_the_order_and_are_alike_in_utterances(
    sizes: tuple[int, ...], n: int, expected: list[list[str]]
) -> None:
    found = stretches(log(*sizes), n, lambda c: c.utterances)
    assert [[c.id for c in part] for part in found] == expected


@pytest.mark.parametrize("n", [1, 2, 5])
def test_parts_are_never_more_than_there_are_workers(n: int) -> None:
    for sizes in ((1,) * 17, (100, *(1,) * 9), (*(1,) * 9, 100), (3, 1, 4, 1, 5, 9, 2, 6)):
        found = stretches(log(*sizes), n, lambda c: c.utterances)
        assert 1 <= len(found) <= n
        assert [c.id for part in found for c in part] == [str(i) for i in range(len(sizes))]


@pytest.mark.slow
def test_one_long_conversation_is_watched_and_gone_on_with_on_ray(tmp_path: Path) -> None:
    config = AppConfig(tagger="tests.serve.fake:FakeTagger", data_dir=tmp_path / "data")
    said = [{"speaker": "Ann", "text": "slow"}] * 5_000
    log_file, out = tmp_path / "log.jsonl", tmp_path / "out.jsonl"
    log_file.write_text(json.dumps({"id": "long", "utterances": said}))
    told: list[int] = []

    def stop(progress: AnnotationProgress) -> None:
        told.append(progress.utterances)
        if progress.utterances:
            raise KeyboardInterrupt

    with ray_tagger("emotion/ekman", config=config, workers=1) as tagger:
        assert annotate([log_file], out, tagger=tagger, progress=stop).interrupted
        assert 0 < told[-1] < 5_000
        assert int((tmp_path / "out.jsonl.journal.reading").read_text()) >= told[-1]
        again: list[int] = []
        summary = annotate([log_file], out, tagger=tagger, resume=True, progress=lambda p: again.append(p.utterances))
    assert (summary.done, summary.utterances) == (1, 5_000)
    assert min(n for n in again if n) > told[-1]


@pytest.mark.slow
def test_a_log_is_labelled_on_ray_as_it_is_here(tmp_path: Path) -> None:
    lines = [
        b'{"id":"%d","utterances":[{"speaker":"a","text":"%s"}]}\n' % (i, text)
        for i, text in enumerate([b"a great job", b"so sad", b"poison", b"I hate it", b"hm"])
    ]
    out = tmp_path / "out.jsonl"
    config = AppConfig(tagger="tests.ui.fake:FakeTagger", data_dir=tmp_path / "data")
    with ray_tagger("emotion/ekman", config=config, workers=2) as tagger:
        assert tagger.n_workers == 2
        summary = annotate([io.BytesIO(b"".join(lines))], out, tagger=tagger)
    assert (summary.done, summary.failed) == (4, 1)
    assert summary.failures[0].id == "2"
    assert "ValueError: this text is poison" in summary.failures[0].error
    written = out.read_text().splitlines()
    assert [line.split('"id":"')[1][0] for line in written] == list("01234")
    assert tagger.version == "emotion/ekman@1"
