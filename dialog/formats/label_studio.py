"""Tasks for Label Studio, with our labels as predictions to be corrected. Import the file into a project set up with

    <View>
      <ParagraphLabels name="emotion" toName="dialogue"><Label value="joy"/> … one for each label … </ParagraphLabels>
      <Paragraphs name="dialogue" value="$dialogue" layout="dialogue" nameKey="author" textKey="text"/>
    </View>

A region covers each utterance; its start and end are the utterance's number, its offsets the whole text. From a
region to that of each other utterance that caused its emotion goes a relation.
"""

from collections.abc import Iterable
from typing import Any, BinaryIO

from dialog.conversation import Conversation, Prediction
from dialog.formats.jsonl import dump, to_object
from dialog.formats.source import Unreadable


def write_label_studio(items: Iterable[Conversation | Unreadable], out: BinaryIO) -> None:
    """One task a conversation, in one JSON array. What could not be read is a task with an error and no dialogue."""
    separator = b"[\n"
    for item in items:
        out.write(separator + dump(_task(item)).encode())
        separator = b",\n"
    out.write(b"\n]\n" if separator == b",\n" else b"[]\n")


def _task(item: Conversation | Unreadable) -> dict[str, Any]:
    if isinstance(item, Unreadable):
        return {"data": {**to_object(item), "dialogue": []}}
    data = {key: value for key, value in item.to_dict().items() if key != "utterances"}
    data["dialogue"] = [{"author": u.speaker, "text": u.text} for u in item.utterances]
    results: list[dict[str, Any]] = [
        {
            "id": f"u{i}",
            "from_name": "emotion",
            "to_name": "dialogue",
            "type": "paragraphlabels",
            "value": {
                "start": str(i),
                "end": str(i),
                "startOffset": 0,
                "endOffset": _utf16_length(u.text),
                "text": u.text,
                "paragraphlabels": [u.prediction.emotion],
            },
            "score": u.prediction.probability,
            "meta": {"text": _notes(u.prediction)},
        }
        for i, u in enumerate(item.utterances)
        if u.prediction and u.prediction.emotion and u.text
    ]
    if not results:
        return {"data": data}
    drawn = {result["id"] for result in results}
    relations = [
        {"type": "relation", "from_id": f"u{i}", "to_id": f"u{c.utterance}", "direction": "right"}
        for i, u in enumerate(item.utterances)
        for c in (u.prediction.causes if u.prediction else ())
        if c.utterance != i and {f"u{i}", f"u{c.utterance}"} <= drawn
    ]
    version = item.extra.get("model_version")
    scores = [u.prediction.probability for u in item.utterances if u.prediction]
    prediction = {"result": results + relations, "score": sum(scores) / len(scores)}
    return {"data": data, "predictions": [{**prediction, **({"model_version": version} if version else {})}]}


def _notes(p: Prediction) -> list[str]:
    """What the model says beside the label, for the region's notes."""
    notes = [f"second: {p.second}"] if p.second else []
    notes += [f"{name}: {value:.1f} of 5" for name, value in (("valence", p.valence), ("arousal", p.arousal)) if value]
    notes += [f"tag: {tag.tag} {tag.probability:.2f}" for tag in p.tags]
    notes += ["unsure"] if p.unsure else []
    if p.voice is not None:
        notes.append(f"voice sounds like {p.voice.emotion or 'nothing sure'}: {p.voice.probability:.2f}")
    return notes + (["care: it may speak of self-harm; a person should read it"] if p.care else [])


def _utf16_length(text: str) -> int:
    """Label Studio counts as browsers do: in UTF-16 units, an emoji for two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
