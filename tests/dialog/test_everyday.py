"""The default model on everyday chats, written and labelled by hand by one of us."""

from pathlib import Path

from dialog.evaluate import evaluate_emotion

CHATS = Path(__file__).parent / "everyday.jsonl"


def test_the_default_reads_everyday_chats_far_better_than_the_commonest_answer() -> None:
    """Measured 69.8 accuracy and 60.9 macro F1; "neutral" throughout is right on 36 %."""
    scored = evaluate_emotion([CHATS], live=False)
    assert scored["n"] == 245
    assert scored["metrics"]["accuracy"] >= 65
    assert scored["metrics"]["macro_f1"] >= 55
    assert scored["baselines"]["majority"]["accuracy"] < 40
