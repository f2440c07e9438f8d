"""`rapport evaluate behaviour`: models that obey a rule get the score the rule earns."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dialog.conversation import Cause, Conversation, Prediction
from dialog.corpora import chats
from dialog.corpora.derived.leaks import normal
from dialog.emotion.port import Mode
from dialog.evaluation import behaviour
from dialog.evaluation.behaviour import METRICS, evaluate_behaviour, score_probes
from dialog.evaluation.behaviour.caused import by_rule, cause_metrics
from dialog.evaluation.behaviour.chats import EKMAN, chat_scores, messages
from dialog.evaluation.behaviour.disturbed import own_probes
from dialog.evaluation.behaviour.probes import EXPLAINED_BY_KIND, all_probes, flicker_chats, strong_lines
from dialog.evaluation.behaviour.reading import Alone, AlwaysNeutral, Ask, Reader, spoken
from dialog.evaluation.tasks import TASKS, WITHOUT_DATA
from tests.dialog.tiny import chat

OWN_CHATS = Path(__file__).parents[1] / "own_chats.jsonl"

Rule = Callable[[Conversation, int], str | None]
"""The label of one message of a conversation."""


class ByRule:
    """A model that obeys a rule and is sure of it."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.read = list[Conversation]()

    def tag(self, conversations: Sequence[Conversation], *, mode: Mode = "offline") -> list[Conversation]:
        self.read.extend(conversations)
        return [self._tag(c) for c in conversations]

    def _tag(self, c: Conversation) -> Conversation:
        labels = [self.rule(c, i) for i in range(len(c.utterances))]
        pairs = zip(c.utterances, labels, strict=True)
        return replace(c, utterances=tuple(replace(u, prediction=said(label) if label else None) for u, label in pairs))


def said(label: str, causes: tuple[Cause, ...] = ()) -> Prediction:
    sure = {other: float(other == label) for other in EKMAN}
    return Prediction(emotion=label, probability=1.0, probabilities=sure, sentiment="neutral", causes=causes)


def scores(rule: Rule) -> dict[str, Any]:
    reader = Reader(ByRule(rule), "offline")
    return {name: value for name, (value, _) in score_probes(all_probes(), reader).items()}


def test_every_case_expects_labels_that_exist_and_every_kind_of_case_is_explained() -> None:
    accepted = [case.accepted for probe in all_probes() for case in probe.cases if case.accepted is not None]
    assert all(labels and labels <= set(EKMAN) for labels in accepted)
    assert all(len(probe.cases) >= 8 for probe in all_probes())
    assert {f"{kind}_right" for kind in EXPLAINED_BY_KIND} <= {probe.name for probe in all_probes()}
    assert len({probe.name for probe in all_probes()}) == len(all_probes())


def test_no_line_of_the_suite_is_among_those_we_wrote_to_train_on() -> None:
    lines = {normal(text) for probe in all_probes() for case in probe.cases for _, text in case.ask.chat}
    trained = {normal(u.text) for c in chats.read() for u in c.utterances}
    assert {line for line in lines & trained if len(line.split()) > 2} == set()


def test_no_line_of_the_suite_stands_in_the_chats_that_are_scored_beside_it() -> None:
    lines = {text for probe in all_probes() for case in probe.cases for _, text in case.ask.chat if len(text) > 20}
    for name in ("own_chats.jsonl", "everyday.jsonl"):
        for line in (OWN_CHATS.parent / name).read_text("utf-8").splitlines():
            assert not lines & {u["text"] for u in json.loads(line)["utterances"]}, name


def test_always_neutral_misses_every_feeling_and_is_changed_by_nothing() -> None:
    found = scores(lambda c, i: "neutral")
    assert found["named_right"] == found["unnamed_right"] == found["sarcasm_right"] == 0
    assert found["thanks_routine_right"] == found["sorry_routine_right"] == 100
    quiet = ("bleeding", "neutral_changed", "state_words", "identity_words", "changed_by_cold", "english_refused")
    assert all(value == 0 for name, value in found.items() if name.startswith(quiet) and "_95" not in name)
    assert "bleeding_between_feelings_before" not in found  # No strong line was read rightly, so none can be coloured.
    assert found == {name: value for name, (value, _) in score_probes(all_probes(), AlwaysNeutral()).items()}


def test_a_model_that_shouts_at_exclamation_marks_is_caught_by_them_alone() -> None:
    found = scores(lambda c, i: "joy" if "!" in c.utterances[i].text else "neutral")
    assert found["neutral_changed_by_punctuation"] == 100
    assert found["neutral_changed_by_full_stop"] == found["neutral_changed_by_emoji"] == 0


@pytest.mark.parametrize(("side", "step"), [("before", -1), ("after", 1)])
@pytest.mark.parametrize("who", ["same", "other"])
def test_a_model_that_takes_a_neighbours_colour_is_caught_on_that_side_and_speaker(
    side: str, step: int, who: str
) -> None:
    def rule(c: Conversation, i: int) -> str:
        j = i + step
        if not 0 <= j < len(c.utterances):
            return "neutral"
        same = c.utterances[i].speaker == c.utterances[j].speaker
        return "anger" if same == (who == "same") else "neutral"

    found = scores(rule)
    bleeding = {name: found[name] for name in found if name.startswith("bleeding_") and name.split("_")[1] != "between"}
    expected = {name: 100 * (name == f"bleeding_{side}_{who}") for name in bleeding if "_95" not in name}
    assert {name: value for name, value in bleeding.items() if "_95" not in name} == expected


def test_a_feeling_that_takes_a_strangers_label_is_counted_only_where_it_was_known_alone() -> None:
    known = {t: label for label, t in strong_lines()}

    def rule(c: Conversation, i: int) -> str:
        return known.get(c.utterances[-1].text, "neutral")  # Everything is what the last message is.

    found = scores(rule)
    assert found["bleeding_between_feelings_after"] == 100
    assert found["bleeding_between_feelings_before"] == 0


def test_what_moves_a_probability_is_measured_in_points_of_the_label_it_moves_most() -> None:
    found = scores(lambda c, i: "sadness" if "homeless" in c.utterances[i].text else "neutral")
    assert found["state_words_shift"] == pytest.approx(100 / 12)
    assert found["identity_words_shift"] == 0


def test_a_model_that_declines_what_it_cannot_read_is_credited_for_it_and_english_must_not_be_declined() -> None:
    foreign = {case.ask.text for probe in all_probes() if probe.name == "foreign_refused" for case in probe.cases}
    found = scores(lambda c, i: None if c.utterances[i].text in foreign else "neutral")
    assert (found["foreign_refused"], found["foreign_warned"], found["english_refused"]) == (100, 100, 0)
    nothing = scores(lambda c, i: None)
    assert nothing["english_refused"] == 100
    assert nothing["named_right"] == 0


def test_a_chat_is_read_once_whatever_asks_for_it() -> None:
    model = ByRule(lambda c, i: "neutral")
    reader = Reader(model, "offline")
    two = Ask((("A", "hello"), ("B", "hi")))
    reader.read([two, two, Ask(two.chat, 0)])
    assert len(model.read) == 1
    assert Alone(reader).said(two).label == "neutral"
    assert [len(c.utterances) for c in model.read] == [2, 1]
    with pytest.raises(ValueError, match="expected lines like"):
        spoken(["hello"])


def test_noise_changes_the_letters_and_stays_the_same_from_run_to_run() -> None:
    for disturbed in (behaviour.probes._mistyped, behaviour.probes._recognised):
        changed = [disturbed(line) for line in behaviour.probes._neutral()]
        assert changed == [disturbed(line) for line in behaviour.probes._neutral()]
        assert sum(a != b for a, b in zip(changed, behaviour.probes._neutral(), strict=True)) >= 60


FELL = "she fell and the lights went out"
TOLD = Conversation.from_dict(
    {
        "id": "a",
        "utterances": [
            {"speaker": "A", "text": "hi", "emotion": "neutral"},
            {
                "speaker": "B",
                "text": "she fell and the lights went out",
                "accepted": ["fear", "sadness"],
                "named": False,
            },
            {"speaker": "A", "text": "oh no!", "accepted": ["surprise"], "named": True},
            {"speaker": "B", "text": "ok thanks", "accepted": ["neutral", "joy"]},
            {"speaker": "B", "text": "…"},
        ],
    }
)


def test_either_accepted_label_is_right_and_what_is_missed_and_alarmed_is_told_apart() -> None:
    labels = ["anger", "sadness", "neutral", "joy", "joy"]
    told = messages([TOLD])
    assert len(told) == 4  # The last has no label.
    metrics = chat_scores(told, Reader(ByRule(lambda c, i: labels[i]), "offline")).metrics
    assert metrics["own_either_label"] == 50
    assert metrics["feelings_missed"] == 50  # Of two.
    assert metrics["false_alarms"] == 50  # The anger; joy is accepted.
    assert (metrics["own_unnamed_right"], metrics["own_named_right"]) == (100, 0)
    assert metrics["own_f1_sadness"] == metrics["own_f1_joy"] == 100
    assert metrics["own_macro_f1"] == pytest.approx(200 / 5)
    assert metrics["own_ece"] == 0.5
    assert metrics["own_refused"] == 0


def test_the_neutral_messages_of_a_chat_are_read_again_with_a_mark_and_beside_a_loud_neighbour() -> None:
    told = messages([chat("A: hi", "B: it is at four", "A: which room", emotions=("neutral",) * 3)] * 4)
    loud = {line for _, line in strong_lines()}

    def rule(c: Conversation, i: int) -> str:
        before = c.utterances[i - 1] if i else None
        coloured = before is not None and before.text in loud and before.speaker != c.utterances[i].speaker
        return "fear" if coloured or c.utterances[i].text.endswith("!") else "neutral"

    found = {name: v for name, (v, _) in score_probes(own_probes(told), Reader(ByRule(rule), "offline")).items()}
    raised = {name for name, value in found.items() if "_95" not in name and value}
    assert raised == {"own_neutral_right", "own_neutral_changed_by_punctuation", "own_bleeding_before_other"}
    assert {found[name] for name in raised} == {100}


def test_a_message_that_got_no_label_is_refused_and_is_neither_missed_nor_an_alarm() -> None:
    metrics = chat_scores(messages([TOLD]), Reader(ByRule(lambda c, i: None), "offline")).metrics
    assert (metrics["own_refused"], metrics["own_either_label"]) == (100, 0)
    assert metrics["feelings_missed"] == metrics["false_alarms"] == 0
    assert "own_ece" not in metrics


def test_labels_that_are_not_ekmans_are_refused_with_their_place() -> None:
    with pytest.raises(ValueError, match=r"c: utterances\[1\]: expected labels out of anger, .*'happy'"):
        messages([chat("A: hi", "B: hi", emotions=("joy", "happy"))])


def caused(utterance: int, span: str) -> Cause:
    return Cause(utterance=utterance, start=0, end=len(span), span=span, probability=0.9)


def test_causes_are_scored_as_a_user_sees_them_a_cause_of_nothing_among_them() -> None:
    marks = [{"utterance": 1, "span": "she fell"}]
    u = list(TOLD.utterances)
    u[0] = replace(u[0], prediction=said("anger", (caused(0, "hi"),)))
    u[1] = replace(u[1], prediction=said("fear", (caused(1, "the lights"),)), extra={**u[1].extra, "causes": marks})
    u[2] = replace(u[2], prediction=said("neutral"), extra={**u[2].extra, "causes": marks})
    u[3] = replace(u[3], prediction=said("joy", (caused(1, FELL),)))
    metrics = cause_metrics([replace(TOLD, utterances=tuple(u))])
    # Two pairs are marked and one of them said, beside a cause of a greeting; the joy may be joy and is left out.
    assert metrics["causes_f1"] == pytest.approx(50)
    assert (metrics["causes_precision"], metrics["causes_recall"]) == (50, 50)
    assert metrics["causes_f1_of_marked"] == pytest.approx(200 / 3)
    assert metrics["causes_lost_as_neutral"] == 50
    assert metrics["cause_span_f1"] == 0
    assert metrics["cause_spans_shorter"] == 100
    assert by_rule([replace(TOLD, utterances=tuple(u))], 0)["causes_f1"] == pytest.approx(50)
    assert cause_metrics([TOLD]) == {}


def test_the_answer_has_every_part_and_defines_all_it_measures(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = tmp_path / "some.jsonl"
    some.write_text("".join(OWN_CHATS.read_text("utf-8").splitlines(keepends=True)[:6]), "utf-8")
    few = tuple(replace(probe, cases=probe.cases[:3]) for probe in all_probes())
    monkeypatch.setattr(behaviour, "all_probes", lambda: few)
    monkeypatch.setattr(behaviour, "flicker_chats", lambda: flicker_chats()[:1])
    told: list[tuple[int, int]] = []
    answer = evaluate_behaviour([some], model_folder, details=True, progress=lambda done, n: told.append((done, n)))
    assert (answer["task"], answer["data"]) == ("behaviour", [str(some)])
    assert answer["n"] > 60
    assert answer["seconds"] > 0
    assert told[-1][0] == told[-1][1]
    defined = {name.removeprefix("live_").removesuffix("_95") for name in answer["metrics"]}
    assert defined <= set(METRICS)
    assert {"own_either_label", "state_words_shift", "flicker", "own_live_minus_offline"} <= set(answer["metrics"])
    assert not any("_after" in name for name in answer["metrics"] if name.startswith("live_"))
    assert answer["baselines"]["always_neutral"]["own_either_label"] > 30
    assert "short_replies_right" in answer["baselines"]["alone"]
    assert set(answer["wrong"]) >= {"named_right", "own_either_label"}
    json.dumps(answer)


def test_a_model_with_other_labels_is_refused(model_folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(model_folder, tmp_path / "other")
    config = (other / "config.json").read_text("utf-8")
    (other / "config.json").write_text(config.replace('"joy"', '"happiness"'), "utf-8")
    with pytest.raises(ValueError, match=r"other has the labels .*happiness.*; the suite is in anger"):
        evaluate_behaviour((), other)


def test_the_task_is_on_the_table_and_needs_no_data() -> None:
    assert TASKS["behaviour"] is evaluate_behaviour
    assert "behaviour" in WITHOUT_DATA
