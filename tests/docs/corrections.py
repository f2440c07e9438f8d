"""Tables of the corrector: what its test says, and what it costs and mends beside others."""

from tests.docs.benches import made_by, run_of
from tests.docs.scores import scores_of
from tests.docs.tables import ratio, table

WORDS = {
    "false_change_rate": "clean messages: words changed",
    "noise_15_repair_rate": "15 % of words mistyped: slips mended",
    "noise_15_word_accuracy": "15 % of words mistyped: words right afterwards",
    "noise_15_character_error_rate": "15 % of words mistyped: characters wrong afterwards",
    "noise_15_sentence_accuracy": "15 % of words mistyped: whole messages right",
    "pairs_repair_rate": "real slips in a message: mended",
    "pairs_false_change_rate": "real slips in a message: other words changed",
    "pairs_word_accuracy": "real slips in a message: words right afterwards",
    "lexnorm_precision": "LexNorm tweets: changes that are right",
    "lexnorm_recall": "LexNorm tweets: tokens normalised",
    "completion_2_letters_top_3": "the word offered among three after two letters",
    "keystrokes_saved": "keystrokes saved by taking it when it is offered",
}
TO_REACH = {"false_change_rate": "0.5 at most"}


def corrections() -> str:
    """A row a metric: the model, the text left as it is, and the nearest common word."""
    test = scores_of("correction/chat")["test"]
    rows = []
    for metric, explained in WORDS.items():
        beside = [test["baselines"][name].get(metric) for name in ("copy", "nearest")]
        cells = ["" if value is None else f"{value:.1f}" for value in beside]
        rows.append([explained, f"{test['metrics'][metric]:.2f}", *cells, TO_REACH.get(metric, "")])
    return table(["per cent", "correction/chat", "left as typed", "nearest common word", "to reach"], rows)


def correctors() -> str:
    """A row a corrector: pace, slips mended, clean words changed."""
    rows = [
        [
            row["name"],
            f"{row['ms']:.1f} ({row['ms_p95']:.1f})",
            f"{row['repair_rate']:.1f}",
            f"{row['word_accuracy']:.1f}",
            f"{row['false_change_rate']:.2f}",
            ratio(row.get("ratio")),
        ]
        for row in run_of("correction")["rows"]
    ]
    head = ["corrector", "ms a message (slowest twentieth)", "slips mended", "words right", "clean words changed"]
    return table([*head, "our time beside its"], rows) + "\n\n" + made_by(["correction"])
