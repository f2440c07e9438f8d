"""What fails in a call falls on the conversation that caused it, and importing the port costs nothing."""

import subprocess
import sys
from collections.abc import Sequence

import pytest

from dialog.conversation import Conversation, Prediction
from dialog.emotion.port import Mode, label_each
from tests.dialog.tiny import chat

JOY = Prediction(emotion="joy", probability=1.0, probabilities={"joy": 1.0}, sentiment="positive")


class Delicate:
    """Everything is joy, but a call with `bad` in it fails, and one with `lost` in it gives nothing back."""

    version = "1"

    def __init__(self) -> None:
        self.calls: list[int] = []

    def tag(self, conversations: Sequence[Conversation], *, mode: Mode = "offline") -> list[Conversation]:
        self.calls.append(len(conversations))
        texts = {u.text for c in conversations for u in c.utterances}
        if "stop" in texts:
            raise KeyboardInterrupt
        if "bad" in texts:
            raise KeyError("bad")
        return [] if "lost" in texts else [c.with_predictions([JOY] * len(c.utterances)) for c in conversations]


def test_one_that_fails_costs_no_other_its_labels() -> None:
    told = list[tuple[str, int]]()
    tagged = label_each(
        Delicate(),
        [chat("A: hi"), chat("A: bad"), chat("A: lost"), chat("A: ho")],
        mode="live",
        reason=lambda error: f"because of {error}",
        failed=lambda error, n: told.append((type(error).__name__, n)),
    )
    assert [c.error for c in tagged] == [
        None,
        "because of 'bad'",
        "because of the tagger gave 0 conversations back for 1",
        None,
    ]
    assert [c.utterances[0].prediction for c in tagged] == [JOY, None, None, JOY]
    assert told == [("KeyError", 4), ("KeyError", 1), ("RuntimeError", 1)]


def test_what_goes_well_is_one_call_and_nothing_none() -> None:
    tagger = Delicate()
    assert label_each(tagger, [], mode="offline", reason=str) == []
    label_each(tagger, [chat("A: hi")] * 3, mode="offline", reason=str)
    assert tagger.calls == [3]


def test_a_stop_is_no_failure() -> None:
    with pytest.raises(KeyboardInterrupt):
        label_each(Delicate(), [chat("A: hi"), chat("A: stop")], mode="offline", reason=str)


def test_the_port_and_logs_need_no_torch() -> None:
    check = "import sys, dialog.emotion.port, dialog.annotation.annotate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
