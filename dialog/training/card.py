"""The card of a trained model: what it is, what it learned from, how it scored, what it must not be used for."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LICENCES: dict[str, str] = {
    "meld": "MELD: GPL-3.0 (repository); the dialogues are from the television series Friends",
    "ecf": "Emotion-Cause-in-Friends: GPL-3.0 (repository), for research only; MELD's lines labelled again",
    "reccon": "RECCON (MIT): DailyDialog's conversations, under CC BY-NC-SA 4.0, which excludes commercial use",
    "emorynlp": "EmoryNLP: GPL-3.0 (the copy used); the dialogues are from the television series Friends",
    "dailydialog": "DailyDialog: CC BY-NC-SA 4.0, which excludes commercial use",
    "emocontext": "EmoContext (SemEval-2019 task 3): no licence found for the data; research use",
    "goemotions": "GoEmotions: Apache-2.0",
    "empathetic_dialogues": "EmpatheticDialogues: CC BY-NC 4.0, which excludes commercial use",
    "self_dialogue": "Self-dialogue Corpus (Fainberg et al. 2018): BSD-3-Clause",
    "flickr8k": "Flickr8k: pictures of Flickr's users, for non-commercial research and education",
    "snli": "SNLI statements, by way of e-SNLI: CC BY-SA 4.0 (from memory; the repository is MIT)",
    "daquar": "DAQUAR: no licence file found for the questions or the NYU Depth v2 photographs",
    "nlvr": "NLVR: CC BY 4.0",
    "easyvqa": "easy-VQA: MIT",
    "cmu_dog": "CMU Document Grounded Conversations: no licence found for the data",
    "taskmaster4": "Taskmaster-4 (Google): CC BY 4.0",
    "swda": "Switchboard dialogue acts: GPL-3.0 (repository); the telephone calls belong to the LDC",
    "xed": "XED (Helsinki): CC BY 4.0; lines of film subtitles",
    "tweet_emoji": "TweetEval's emoji part: no licence found for the tweets",
    "ubuntu_irc": "Ubuntu IRC disentanglement: CC BY 4.0 (data)",
    "typo_pairs": "typos: Birkbeck (no licence found), Norvig's copy (GPL-2.0), codespell (CC BY-SA 3.0), typos (MIT)",
    "iemocap": "IEMOCAP: a signed release by USC, internal research only; a model trained on it must not be passed on",
}
"""By corpus, as far as we could find out. Not legal advice."""

LIMITS = """\
English only; text only, no voice and no face. It says what readers of a transcript would say of an utterance, not what
a person feels. Trained on television dialogue, textbook dialogue and short web messages by mostly North American
writers: irony, dialects and cultures not heard there are read worse, rare emotions (fear, disgust) worse than common
ones. Do not use it to judge people: not in hiring, policing, schooling, insurance or medical decisions."""


def write_card(
    folder: Path,
    *,
    name: str,
    summary: str,
    command: str,
    seed: int,
    corpora: Sequence[str],
    validation: Mapping[str, float],
    task: str = "emotion",
    limits: str = LIMITS,
) -> None:
    """card.md and scores.json of a finished run. Test scores are not known yet: `rapport evaluate` gives them."""
    unique = list(dict.fromkeys(corpora))
    text = f"""\
# {name}

{summary}

Trained with `{command}` (seed {seed}).

## Scores on validation

These chose the decoding and the temperature; they are not test scores, for which see `rapport evaluate {task}`.

{_table(validation)}

## Data and licences

{chr(10).join(f"* {LICENCES[corpus]}" for corpus in unique)}

## Limits

{limits}
"""
    (folder / "card.md").write_text(text, encoding="utf-8")
    (folder / "scores.json").write_text(json.dumps({"validation": dict(validation)}, indent=2) + "\n", encoding="utf-8")


def write_causes_card(
    folder: Path,
    corpora: Sequence[str],
    encoder: str,
    seed: int,
    held_out: Mapping[str, Mapping[str, float]],
    test: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """card.md and scores.json of a causes model: which seed was kept, and what each reached on what was held out.

    `test`, once known, are the answers of `rapport evaluate causes` by the name of the test part.
    """
    names = list(next(iter(held_out.values())))
    head = ["| seed | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    rows = [
        f"| {one}{' (kept)' if one == str(seed) else ''} | " + " | ".join(f"{s[name]:.3f}" for name in names) + " |"
        for one, s in held_out.items()
    ]
    text = f"""\
# causes/reccon

Points from an emotional utterance at the earlier ones (or itself) that caused the emotion, at none of them where the
cause is not in the conversation, and at the words inside each. Reads the vectors and token states of {encoder}, so that
emotions and causes cost one encoding; it does not fit any other encoder.

Trained with `rapport train causes/reccon --data ../shared/data --out OUT --start EMOTIONS`, where EMOTIONS is that
model's folder; {len(held_out)} seeds on one encoding, seed {seed} kept.

## Scores on what was held out

A tenth of RECCON's train part and its validation part, once with gold emotions and once with those predicted; `ecf_`:
ECF's validation part, as its own annotators would answer. `span_`: of true pairs, counted in tokens. They chose the
seed, the temperatures and the thresholds; they are not test scores, for which see `rapport evaluate causes`.

{chr(10).join([*head, *rows])}
{_cause_tests(test or {})}
## Data and licences

{chr(10).join(f"* {LICENCES[corpus]}" for corpus in dict.fromkeys(corpora))}

Train conversations that share a long utterance with the validation or test part of either corpus were left out:
DailyDialog repeats itself. ECF's annotators saw the video, mark no words and look for causes closer by; the model
learns their habit apart and answers as RECCON's annotators do, unless it is scored on ECF.

## Limits

{LIMITS}

A cause here is what annotators marked in the transcript, not what happened to a person. Causes far back are found much
less often than those in the same message or the one before. Other annotators draw the line elsewhere.
"""
    (folder / "card.md").write_text(text, encoding="utf-8")
    scores: dict[str, Any] = {"held_out": {one: dict(s) for one, s in held_out.items()}, "seed": seed}
    if test:
        scores["test"] = {
            name: {**answer["metrics"], "baselines": answer["baselines"]} for name, answer in test.items()
        }
    (folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")


_CAUSE_METRICS = (
    "positive_f1",
    "negative_f1",
    "macro_f1",
    "far_positive_f1",
    "span_exact_match",
    "span_f1_squad",
    "ece",
)


def _cause_tests(test: Mapping[str, Mapping[str, Any]]) -> str:
    """The section of test scores, a row for each way to come by the emotions and each rule; nothing where none is."""
    if not test:
        return ""
    lines = [
        "\n## Test scores\n",
        "Of the seed that was kept, over the rows of RECCON's fold 1 (distinct pairs: `scores.json`); 95 % intervals",
        "draw whole conversations. Far: causes two or more utterances back. End to end: as the product answers, which",
        "asks nothing of what it takes for surely neutral.",
        "Printed by `rapport evaluate causes --data FILE --model causes/reccon --json`.\n",
        "| test part | emotions | positive F1 (95 %) | negative F1 | macro F1 | far F1 | span EM | span F1 | ECE |",
        "|---" * 9 + "|",
    ]
    for name, answer in test.items():
        metrics = answer["metrics"]
        told = [("", "gold"), ("predicted_", "predicted"), ("end_to_end_", "end to end")]
        told += [(f"as_reccon_{prefix}", f"{words}, as RECCON's annotators") for prefix, words in told]
        for prefix, words in told:
            if f"{prefix}ece" not in metrics:
                continue
            positive, *others, ece = (metrics.get(prefix + m) for m in _CAUSE_METRICS)
            low, high = metrics[f"{prefix}positive_f1_95"]
            cells = ["" if value is None else f"{value:.2f}" for value in others]
            lines.append(
                f"| {name} | {words} | {positive:.2f} ({low:.1f} to {high:.1f}) | {' | '.join(cells)} | {ece:.3f} |"
            )
        for rule, scores in answer["baselines"].items():
            cells = [f"{scores[m]:.2f}" for m in _CAUSE_METRICS[:-1] if m in scores]
            lines.append(f"| {name} | rule: {rule.replace('_', ' ')} | {' | '.join(cells)} | |")
    return "\n".join([*lines, ""])


def _table(scores: Mapping[str, Any]) -> str:
    rows = [
        f"| {metric} | {value:.4f} |" if "ece" in metric else f"| {metric} | {value:.2f} |"
        for metric, value in scores.items()
    ]
    return "\n".join(["| metric | value |", "|---|---|", *rows])
