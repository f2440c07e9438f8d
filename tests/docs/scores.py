"""Tables of what the shipped models score, from the scores.json beside their weights."""

import json
from pathlib import Path
from typing import Any

from tests.docs.tables import fraction, percent, table

WEIGHTS = Path(__file__).parents[2] / "models" / "weights"
METRICS = {"emotion/dailydialog": "micro_f1_without_neutral"}
"""By emotion model: the metric its corpus is compared by in the literature; weighted F1 for the others."""
TO_REACH = {
    ("emotion/ekman", "MELD"): 60.0,
    ("emotion/ekman", "GoEmotions, mapped"): 66.0,
    ("emotion/meld", "MELD"): 64.0,
    ("emotion/emorynlp", "EmoryNLP"): 37.5,
    ("emotion/dailydialog", "DailyDialog"): 56.0,
}
"""By model and test part: what it is to reach."""
CAUSES_TO_REACH = {"RECCON-DD": 70.0}
BEHAVIOUR = {
    "own_either_label": "right by either of two accepted labels",
    "own_macro_f1": "macro F1",
    "feelings_missed": "feelings called neutral",
    "false_alarms": "neutral messages called a feeling",
    "named_right": "feelings that a word names, right",
    "unnamed_right": "feelings that no word names, right",
    "neutral_right": "neutral lines, right",
    "bleeding_before_other": "neutral lines changed by a strong message of another before them",
    "bleeding_after_other": "neutral lines changed by one after them",
    "neutral_changed_by_punctuation": "neutral lines changed by a mark",
    "neutral_changed_by_emoji": "neutral lines changed by an emoji of agreement",
    "neutral_changed_by_neutral_line": "neutral lines changed by a neutral line before them",
    "changed_by_typos": "labels changed by a slip of the fingers",
    "thanks_routine_right": "thanks that mean little, right",
    "negation_turned_right": "feelings turned round by a negation, right",
    "understatement_right": "understatement, right",
    "sarcasm_right": "sarcasm, right",
    "slang_right": "slang, right",
    "short_replies_right": "short replies, right",
    "state_words_shift": "points a word for somebody's state moves a label by, on average",
    "identity_words_shift": "points a word for who somebody is moves it by, on average",
    "foreign_refused": "lines in another language given no label",
    "english_refused": "English lines given none",
    "flicker": "messages that had more than one label as the chat grew",
}
"""Of the metrics of `rapport evaluate behaviour`, those shown first, in words."""
BEHAVIOUR_TO_REACH = {
    "own_either_label": "76",
    "own_macro_f1": "68",
    "feelings_missed": "28 at most",
    "false_alarms": "15 at most",
    "unnamed_right": "45",
    "bleeding_before_other": "5 at most",
    "bleeding_after_other": "5 at most",
    "neutral_changed_by_punctuation": "8 at most",
    "neutral_changed_by_emoji": "8 at most",
    "neutral_changed_by_neutral_line": "8 at most",
    "state_words_shift": "8 at most",
}
PICTURES = {
    "DAQUAR, exact match": ("daquar", "daquar_exact"),
    "SNLI statements": ("statements", "statements_accuracy"),
    "NLVR": ("nlvr", "nlvr_accuracy"),
    "easy-VQA": ("easyvqa", "easyvqa_accuracy"),
}
"""By test part: what the keys of its number of questions, and of its score, begin with."""
OVER_BLIND, DRAWINGS = 2.0, 95.0
"""What the picture is to add on photographs, in points, and what is to be reached on drawings."""


def scores_of(model: str) -> dict[str, Any]:
    """The scores.json of a shipped model."""
    told: dict[str, Any] = json.loads((WEIGHTS / model / "scores.json").read_text(encoding="utf-8"))
    return told


def emotion() -> str:
    """A row for each emotion model and test part."""
    rows = []
    for folder in sorted((WEIGHTS / "emotion").iterdir(), key=lambda f: (f.name == "ekman", f.name)):
        model = f"emotion/{folder.name}"
        metric = METRICS.get(model, "weighted_f1")
        for part, figures in scores_of(model)["test"].items():
            majority = figures.get("baselines", {}).get("majority", {})
            rows.append(
                [
                    model,
                    part,
                    f"{figures['n']:,}" if "n" in figures else "",
                    metric.replace("_", " ").replace("f1", "F1"),
                    percent(figures, metric),
                    f"{TO_REACH[model, part]}" if (model, part) in TO_REACH else "",
                    percent(majority, metric),
                    percent(figures, "macro_f1"),
                    percent(figures, "accuracy"),
                    fraction(figures, "ece"),
                ]
            )
    head = ["model", "test part", "n", "metric", "score (95 %)", "to reach", "majority answer", "macro F1", "accuracy"]
    return table([*head, "ECE"], rows)


def causes() -> str:
    """A row for each test part, and one more where it is answered by RECCON's habit too."""
    rows = []
    for part, figures in scores_of("causes/reccon").get("test", {}).items():
        rule = figures.get("baselines", {}).get("target_and_previous", {})
        for habit, name in (("", part), ("as_reccon_", f"{part}, by RECCON's habit, as the product answers")):
            if f"{habit}positive_f1" not in figures:
                continue
            if not habit and "as_reccon_positive_f1" in figures:
                name += ", by its own habit"
            said = {key.removeprefix(habit): value for key, value in figures.items() if key.startswith(habit)}
            rows.append(
                [
                    name,
                    percent(said, "positive_f1"),
                    f"{CAUSES_TO_REACH[part]}" if part in CAUSES_TO_REACH else "",
                    percent(said, "macro_f1").partition(" ")[0],
                    percent(said, "predicted_positive_f1"),
                    percent(said, "end_to_end_positive_f1").partition(" ")[0],
                    percent(rule, "positive_f1"),
                    percent(rule, "macro_f1"),
                    " / ".join(
                        filter(None, (f"{said[k]:.1f}" for k in ("span_exact_match", "span_f1_squad") if k in said))
                    ),
                    percent(said, "far_positive_f1").partition(" ")[0],
                    fraction(said, "ece"),
                ]
            )
    head = ["test part", "positive F1 (95 %)", "to reach", "macro F1", "predicted", "end to end", "rule: positive"]
    return table([*head, "rule: macro", "span exact / F1", "far causes", "ECE"], rows)


def causes_held_out() -> str:
    """A row for each seed, by what was held out; the seed that was kept is marked."""
    told = scores_of("causes/reccon")
    rows = [
        [
            f"{seed} (kept)" if seed == str(told["seed"]) else seed,
            percent(figures, "positive_f1"),
            percent(figures, "latent_f1"),
            fraction(figures, "ece"),
            percent(figures, "ecf_positive_f1"),
            percent(figures, "span_exact_match"),
            percent(figures, "span_f1"),
        ]
        for seed, figures in told["held_out"].items()
    ]
    head = ["seed", "positive F1", "outside the conversation", "ECE", "ECF's positive F1", "span exact", "span F1"]
    return table(head, rows)


def behaviour() -> str:
    """What the default does on people's own chats: a row a metric, offline and live."""
    told = scores_of("emotion/ekman")["behaviour"]
    rows = [
        [explained, percent(told, metric), percent(told, f"live_{metric}"), BEHAVIOUR_TO_REACH.get(metric, "")]
        for metric, explained in BEHAVIOUR.items()
        if metric in told
    ]
    return table(["on our own chats and lines, per cent", "offline", "live", "to reach"], rows)


def pictures() -> str:
    """A row for each test part."""
    told = scores_of("visual/seqdialn")
    test, beside = told["test"], told["test_beside"]
    rows = []
    for name, (part, metric) in PICTURES.items():
        if metric not in test:  # not measured with the weights that are shipped
            continue
        gain, low, high = test[f"{metric}_over_blind"], *test[f"{metric}_over_blind_95"]
        rows.append(
            [
                name,
                f"{test[f'{part}_n']:,}",
                percent(test, metric),
                percent(beside["blind"], metric),
                f"{gain:.1f} ({low:.1f} to {high:.1f})",
                percent(beside["question_type"], metric).partition(" ")[0],
                percent(beside["majority"], metric).partition(" ")[0],
                f"{DRAWINGS:g}" if part == "easyvqa" else f"blind + {OVER_BLIND:g}",
            ]
        )
    head = ["test part", "n", "model (95 %)", "blind (95 %)", "gain, paired (95 %)", "by question type", "commonest"]
    return table([*head, "to reach"], rows)
