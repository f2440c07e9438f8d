"""`rapport evaluate behaviour`: how an emotion model behaves on people's own chats, habit by habit.

The corpora say how well a model agrees with their annotators; this says what happens to somebody's messages: whether a
feeling is seen that no word names, whether a line takes the colour of its neighbours, what an exclamation mark does.
All lines are ours, written and labelled before any model read them (`cases/`); none may be trained on, and nothing is
chosen by them. `METRICS` defines every metric.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dialog.corpora import read
from dialog.emotion.port import Mode
from dialog.emotion.tagger import EmotionTagger
from dialog.evaluation.behaviour import caused, chats
from dialog.evaluation.behaviour.chats import EKMAN, ChatScores, Message, chat_scores, messages
from dialog.evaluation.behaviour.disturbed import own_probes
from dialog.evaluation.behaviour.probes import Case, Probe, all_probes, flicker_chats, right
from dialog.evaluation.behaviour.reading import Alone, AlwaysNeutral, Answers, Ask, Chat, Reader
from dialog.metrics import mean_interval, share_interval
from models.catalogue import EMOTION
from models.device import Where

FLICKER = {
    "flicker": "Share of messages that had more than one label: live, then each time a message is added to the chat "
    "and all of it is read anew.",
    "flicker_live_differs": "Share of messages whose live label is not the one the whole chat ends with.",
}

METRICS: dict[str, str] = {
    **{probe.name: probe.explained for probe in all_probes()},
    **FLICKER,
    **chats.EXPLAINED,
    **{f"own_f1_{label}": f"F1 of {label} on --data, counted as own_macro_f1 counts it." for label in EKMAN},
    **{probe.name: probe.explained for probe in own_probes(())},
    **caused.EXPLAINED,
}
"""metric -> what it counts, in per cent unless it says otherwise. NAME_95 is its 95 % interval (Wilson's for rates over
the suite's own lines, bootstrap over chats or words for means and --data), live_NAME the same in live mode."""


_SHOWN_FROM = 0.08
"""How far a case must be from the best to be listed among `wrong`; the rates' are 0 or 1 from it."""


def evaluate_behaviour(
    data: Sequence[Path] = (),
    model: str | Path = EMOTION,
    *,
    live: bool = True,
    details: bool = False,
    device: Where = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The object of `rapport evaluate behaviour --json`.

    `data` are chats with labels (`accepted`, or `emotion`) and perhaps `causes`; without any the suite's own lines are
    all. `details` adds `wrong`: by metric, each message that counts against the model, and what was said of it.
    ValueError for a model whose labels are not Ekman's seven, and for labels in the data that are not.
    """
    tagger = EmotionTagger.load(model, device=device)
    if set(tagger.labels) != set(EKMAN):
        raise ValueError(f"{model} has the labels {', '.join(tagger.labels)}; the suite is in {', '.join(EKMAN)}")
    conversations = [c for path in data for c in read(path)]
    told = messages(conversations)
    if data and not told:
        raise ValueError(f"{', '.join(map(str, data))}: no message has a label")
    some = (*all_probes(), *own_probes(told))
    begun = time.perf_counter()
    modes: list[Mode] = ["offline", "live"] if live else ["offline"]
    readers = {mode: Reader(tagger.without_causes(), mode) for mode in modes}
    for i, mode in enumerate(modes):
        readers[mode].read(_asks(_in(mode, some), told, mode))
        if progress:
            progress(i + 1, len(modes) + 1)
    metrics: dict[str, Any] = {}
    cases: dict[str, int] = {}
    wrong: dict[str, list[dict[str, Any]]] = {}
    for mode in modes:
        scored = score_probes(_in(mode, some), readers[mode], wrong if details and mode == "offline" else None)
        prefix = "" if mode == "offline" else "live_"
        metrics |= {prefix + name: value for name, (value, _) in scored.items()}
        cases |= {prefix + name: n for name, (_, n) in scored.items() if not name.endswith("_95")}
    if live:
        metrics |= _flicker(readers["offline"], readers["live"])
    alone = Alone(readers["offline"])
    baselines: dict[str, dict[str, Any]] = {
        "always_neutral": _baseline(told, AlwaysNeutral()),
        "alone": _baseline(told, alone),
    }
    if told:
        scores = {mode: chat_scores(told, readers[mode]) for mode in modes}
        metrics |= _of_chats(scores, chat_scores(told, alone))
        cases["own_either_label"] = len(told)
        if details:
            wrong["own_either_label"] = _misread(told, scores["offline"])
        for mode in modes if tagger.causes else ():
            tagged = tagger.tag(conversations, mode=mode)
            found = caused.cause_metrics(tagged)
            metrics |= {("" if mode == "offline" else "live_") + k: v for k, v in found.items()}
            if found and mode == "offline":
                for rule, back in (("causes_target_only", 0), ("causes_target_and_previous", 1)):
                    baselines[rule] = caused.by_rule(tagged, back)
    if progress:
        progress(1, 1)
    return {
        "task": "behaviour",
        "model": tagger.version,
        "data": [str(path) for path in data],
        "n": len(told) + len({case.ask for probe in some for case in probe.cases}),
        "n_cases": cases,
        "seconds": time.perf_counter() - begun,
        "metrics": metrics,
        "baselines": baselines,
        **({"wrong": wrong} if details else {}),
    }


def score_probes(
    some: Iterable[Probe], answers: Answers, wrong: dict[str, list[dict[str, Any]]] | None = None
) -> dict[str, tuple[Any, int]]:
    """name -> (value in per cent, cases that counted), and NAME_95; those without a case that counts are left out.

    `wrong` takes the cases that speak against the model.
    """
    scored: dict[str, tuple[Any, int]] = {}
    for probe in some:
        counted = list(_judged(probe, answers))
        if not counted:
            continue
        values = [100 * value for _, value in counted]
        scored[probe.name] = (float(np.mean(values)), len(values))
        if probe.is_rate:
            span = share_interval(sum(value > 0 for value in values), len(values))
        else:
            span = mean_interval(values, [case.group for case, _ in counted])
        scored[f"{probe.name}_95"] = (list(span), len(values))
        if wrong is not None:
            bad = [case for case, value in counted if abs(value - probe.aim) > _SHOWN_FROM]
            wrong[probe.name] = [_shown(case, answers) for case in bad]
    return scored


def _in(mode: Mode, some: Iterable[Probe]) -> list[Probe]:
    """The probes that can say anything in a mode."""
    return [probe for probe in some if probe.live or mode == "offline"]


def _asks(some: Iterable[Probe], told: Sequence[Message], mode: Mode) -> Iterable[Ask]:
    """Everything that will be asked of one mode's reader, so that it is read together."""
    for probe in some:
        for case in probe.cases:
            yield case.ask
            if case.reference:
                yield case.reference
    for m in told:
        yield m.ask
        if mode == "offline":
            yield m.ask.alone()
    for chat in flicker_chats():
        yield Ask(chat)
        if mode == "offline":
            yield from (Ask(chat[:n]) for n in range(1, len(chat)))


def _judged(probe: Probe, answers: Answers) -> Iterable[tuple[Case, float]]:
    for case in probe.cases:
        reference = answers.said(case.reference) if case.reference else None
        value = probe.judge(case, answers.said(case.ask), reference)
        if value is not None:
            yield case, value


def _shown(case: Case, answers: Answers) -> dict[str, Any]:
    said = answers.said(case.ask)
    shown = {
        "chat": [f"{speaker}: {text}" for speaker, text in case.ask.chat],
        "message": case.ask.text,
        "said": said.label,
        "probability": said.probabilities.get(said.label or "", 0.0),
        "accepted": sorted(case.accepted or ()),
    }
    return shown | ({"reference": answers.said(case.reference).label} if case.reference else {})


def _misread(told: Sequence[Message], scores: ChatScores) -> list[dict[str, Any]]:
    rows = zip(told, scores.labels, scores.right, strict=True)
    return [{"message": m.ask.text, "said": label, "accepted": list(m.accepted)} for m, label, ok in rows if not ok]


def _of_chats(scores: dict[Mode, ChatScores], alone: ChatScores) -> dict[str, Any]:
    offline = scores["offline"]
    metrics = dict(offline.metrics)
    pairs = list(zip(offline.right, alone.right, strict=True))
    metrics["own_context_helps"] = 100 * float(np.mean([here and not there for here, there in pairs]))
    metrics["own_context_hurts"] = 100 * float(np.mean([there and not here for here, there in pairs]))
    if "live" in scores:
        live = scores["live"]
        metrics |= {f"live_{k}": v for k, v in live.metrics.items()}
        metrics["own_live_minus_offline"] = live.metrics["own_either_label"] - offline.metrics["own_either_label"]
        differs = [a != b for a, b in zip(live.labels, offline.labels, strict=True)]
        metrics["own_live_differs"] = 100 * float(np.mean(differs))
    return metrics


def _baseline(told: Sequence[Message], answers: Answers) -> dict[str, Any]:
    """The scores of answers that know no context, for metrics where they mean something."""
    some = [probe for probe in all_probes() if probe.judge is right]
    answers.read(case.ask for probe in some for case in probe.cases)
    scores = {k: v for k, (v, _) in score_probes(some, answers).items() if "_95" not in k}
    return scores | ({k: v for k, v in chat_scores(told, answers).metrics.items() if "_95" not in k} if told else {})


def _flicker(offline: Answers, live: Answers) -> dict[str, Any]:
    flickers, differs = list[bool](), list[bool]()
    for chat in flicker_chats():
        for at in range(len(chat)):
            labels = [live.said(Ask(chat, at)).label, *_as_more_arrives(chat, at, offline)]
            flickers.append(len(set(labels)) > 1)
            differs.append(labels[0] != labels[-1])
    metrics: dict[str, Any] = {}
    for name, values in (("flicker", flickers), ("flicker_live_differs", differs)):
        metrics[name] = 100 * float(np.mean(values))
        metrics[f"{name}_95"] = list(share_interval(sum(values), len(values)))
    return metrics


def _as_more_arrives(chat: Chat, at: int, offline: Answers) -> list[str | None]:
    """The labels of one message each time a later one is added."""
    return [offline.said(Ask(chat[:n], at)).label for n in range(at + 1, len(chat) + 1)]


__all__ = ["METRICS", "evaluate_behaviour", "score_probes"]
