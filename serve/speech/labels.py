"""The emotions of what was heard: parts with words are labelled as a conversation, and those without stand between."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from dialog.conversation import Caveat, Conversation, Prediction, Utterance, Voice
from dialog.formats.left_out import LeftOut
from dialog.speech.transcript import WORDLESS, Part, utterance_of
from serve.edge.problems import unavailable
from serve.emotion.deployment import Job, Labels
from serve.emotion.labeller import Labeller
from serve.speech.table import StoredPart, StoredRecording


def worded(parts: Sequence[StoredPart]) -> list[StoredPart]:
    """Those in which words were heard."""
    return [part for part in parts if part.text]


def to_label(names: Sequence[str], parts: Sequence[StoredPart]) -> Conversation:
    """What is said, as a model reads it."""
    said = (Utterance(speaker=names[part.speaker], text=part.text) for part in worded(parts))
    return Conversation(id="recording", utterances=tuple(said))


def job_of(conversation: Conversation, model: str, owner: str) -> Job:
    """What is asked of the models for it."""
    turns = tuple((u.speaker, u.text) for u in conversation.utterances)
    return Job(conversations=(turns,), model=model, mode="offline", causes=True, owner=owner)


def labels_of(parts: Sequence[StoredPart], labels: Labels) -> tuple[dict[int, str], tuple[Caveat, ...]]:
    """The prediction of each part with words, as JSON, by its number, and what to know of them; of the labels of
    `to_label`'s conversation."""
    numbers = [part.n for part in worded(parts)]
    if labels.error is not None:
        return {}, (not_labelled(labels.error),)
    places = dict(enumerate(numbers))
    predictions = {
        n: orjson.dumps(renumbered(Prediction.from_dict(orjson.loads(said)), places).to_dict()).decode()
        for n, said in zip(numbers, labels.predictions, strict=True)
    }
    caveats = (Caveat(c.code, c.text, (numbers[n] for n in c.utterances)) for c in labels.warnings)
    return predictions, tuple(caveats)


def not_labelled(why: str) -> Caveat:
    """That there are no labels."""
    return Caveat("not-labelled", f"the words have no labels: {why}")


def renumbered(prediction: Prediction, numbers: Mapping[int, int]) -> Prediction:
    """The prediction with other numbers of utterances in its causes."""
    causes = (c if c.utterance is None else replace(c, utterance=numbers.get(c.utterance)) for c in prediction.causes)
    return replace(prediction, causes=tuple(causes))


async def label(
    labeller: Labeller, recording: StoredRecording, names: Sequence[str], parts: Sequence[StoredPart]
) -> tuple[dict[int, str], tuple[Caveat, ...], str | None]:
    """The labels of these parts, what to know of them, and the version of the model. Refusal 503, and what the labeller
    raises."""
    conversation = to_label(names, parts)
    if not conversation.utterances:
        return {}, (), None
    job = job_of(conversation, recording.model, recording.owner)
    answer = await labeller.label(job)
    if answer.error is not None:
        raise unavailable(answer.error, retry_after=30)
    (labels,) = answer.conversations
    return *labels_of(parts, labels), answer.model_version


def as_conversation(recording: StoredRecording, parts: Sequence[StoredPart]) -> Conversation:
    """The recording as a conversation of an annotated log: what `rapport annotate` makes of the same file."""
    said = worded(parts)
    places = {part.n: i for i, part in enumerate(said)}
    left_out = LeftOut()
    for part in parts:
        if not part.text:
            left_out.add(WORDLESS)
    utterances = []
    for part in said:
        voice = None if part.voice is None else Voice.from_dict(orjson.loads(part.voice))
        told = Part(part.starts, part.ends, part.speaker, part.channel, part.text, part.confidence, voice)
        utterance = utterance_of(told, recording.names[part.speaker])
        if part.prediction is not None:
            prediction = Prediction.from_dict(orjson.loads(part.prediction))
            utterance = utterance.labelled(renumbered(prediction, places))
        utterances.append(utterance)
    warnings = (
        Caveat(c.code, c.text, (places[n] for n in c.utterances if n in places))
        for c in (*recording.warnings, *recording.label_warnings)
    )
    extra: dict[str, Any] = {**left_out.extra(), "recogniser": recording.recogniser, "seconds": recording.seconds}
    return Conversation(
        id=Path(recording.filename).stem,
        utterances=tuple(utterances),
        warnings=(*warnings, *left_out.warnings()),
        extra=extra,
    )
