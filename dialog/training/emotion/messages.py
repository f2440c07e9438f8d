"""Single messages to learn from, each with what is known of it: a feeling, tags, valence and arousal.

Every message stands alone: what a conversation says of it is another model's business (models.emotionic). The corpora
label in their own ways; here they are brought to one: how likely each of Ekman's labels is.
"""

import hashlib
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dialog.conversation import Conversation
from dialog.corpora import gold, load_corpus, read_jsonl
from dialog.corpora.ekman import TO_EKMAN
from dialog.corpora.event_lines import feelings, first_person, third_person
from dialog.labels import LABEL_SETS, TAGS
from dialog.training.emotion.encoder import DAILY, FRIENDS
from dialog.training.emotion.examples import Source, load_source

LABELS = LABEL_SETS["ekman"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message. What is None is not known of it."""

    text: str
    corpus: str
    emotion: tuple[float, ...] | None = None
    """How likely each of LABELS is, summing to 1."""
    tags: frozenset[str] | None = None
    """Those of TAGS that fit."""
    affect: tuple[float, float] | None = None
    """Valence and arousal, 1 to 5, 3 is neutral (EmoBank)."""
    weight: float = 1.0


def spread(shares: Mapping[str, float]) -> tuple[float, ...]:
    """Shares of labels as a tuple in the order of LABELS, summing to 1."""
    total = sum(shares.values())
    return tuple(shares.get(label, 0.0) / total for label in LABELS)


def held_out(text: str, share: float) -> bool:
    """Whether a text belongs to the part kept for validation, by a hash of it: so always, whatever else there is."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little") < share * 2**32


# GoEmotions' published mapping makes curiosity surprise and approval joy. Of a chat's messages nobody would say so:
# half of it stays, the rest is neutral, and the likelier label is still the published one.
_SOFTENED: dict[str, dict[str, float]] = {
    "curiosity": {"surprise": 0.55, "neutral": 0.45},
    "confusion": {"surprise": 0.6, "neutral": 0.4},
    "realization": {"surprise": 0.6, "neutral": 0.4},
    "approval": {"joy": 0.6, "neutral": 0.4},
    "caring": {"joy": 0.6, "neutral": 0.25, "sadness": 0.15},
    "desire": {"joy": 0.6, "neutral": 0.4},
    "gratitude": {"joy": 0.8, "neutral": 0.2},
    "disapproval": {"anger": 0.65, "neutral": 0.35},
    "annoyance": {"anger": 0.85, "neutral": 0.15},
}


def goemotions(data: Path, split: str = "train") -> list[Message]:
    """Reddit's comments: tags of each, and the feelings they stand for."""
    messages = []
    for c in load_corpus(data, "goemotions", split):
        named = [str(e) for e in c.utterances[0].extra.get("emotions") or []]
        shares: dict[str, float] = {}
        for tag in named:
            for label, share in _SOFTENED.get(tag, {TO_EKMAN["goemotions"].get(tag, "neutral"): 1.0}).items():
                shares[label] = shares.get(label, 0.0) + share
        if shares:
            tags = frozenset(named) & frozenset(TAGS)
            messages.append(Message(c.utterances[0].text, "goemotions", spread(shares), tags))
    return messages


def of_conversations(data: Path, source: Source, seed: int) -> list[Message]:
    """The labelled utterances of a corpus of conversations, each by itself."""
    mapping = TO_EKMAN[source.corpus]
    messages = []
    for c in load_source(source, data, seed):
        for u, label in zip(c.utterances, gold(c, source.corpus), strict=True):
            if label is not None and label in mapping and u.text.strip():
                messages.append(Message(u.text, source.corpus, spread({mapping[label]: 1.0})))
    return messages


def isear(data: Path, split: str = "train") -> list[Message]:
    """What people said had happened when they felt something; "No response" and the like are left out."""
    mapping = {"shame": "sadness", "guilt": "sadness"} | {e: e for e in ("joy", "fear", "anger", "sadness", "disgust")}
    messages = []
    for c in load_corpus(data, "isear", split):
        u = c.utterances[0]
        if u.emotion is not None and u.emotion in mapping and "[" not in u.text and 3 < len(u.text.split()) < 45:
            share = 0.8 if u.emotion in ("shame", "guilt") else 0.9
            felt = mapping[str(u.emotion)]
            messages.append(Message(u.text, "isear", spread({felt: share, "neutral": 1 - share})))
    return messages


_PLUTCHIK = {"anticipation": "neutral", "trust": "neutral"} | {label: label for label in LABELS}


def xed(data: Path, split: str = "train") -> list[Message]:
    """Lines of subtitles; few annotators, so a label is not quite believed."""
    messages = []
    for c in load_corpus(data, "xed", split):
        named = [str(e) for e in c.utterances[0].extra.get("emotions") or []]
        shares: dict[str, float] = {"neutral": 0.25 * len(named)}
        for e in named:
            shares[_PLUTCHIK[e]] = shares.get(_PLUTCHIK[e], 0.0) + 1.0
        if named:
            text = c.utterances[0].text.replace(" .", ".").replace(" ,", ",").replace(" '", "'")
            messages.append(Message(text, "xed", spread(shares)))
    return messages


def tweets(data: Path, split: str = "train") -> list[Message]:
    """Tweets of four feelings; words behind a # that gave the label away are still there, as people write them."""
    mapping = {"anger": "anger", "joy": "joy", "sadness": "sadness", "optimism": "joy"}
    return [
        Message(
            u.text.replace("@user", "").strip(), "tweet_emotion", spread({mapping[u.emotion]: 0.85, "neutral": 0.15})
        )
        for c in load_corpus(data, "tweet_emotion", split)
        for u in c.utterances
        if u.emotion is not None and u.emotion in mapping
    ]


HELD_OUT = 0.15
"""The share of conversations, of sets without a split of their own, that is kept for validation."""


def empathetic(data: Path, *, validation: bool = False) -> list[Message]:
    """What the speakers of EmpatheticDialogues tell first, and the situation behind it; its train part cannot be had.

    Both its other parts, so none of its scores can be reported: a held-out share serves as `validation`.
    """
    mapping = {**TO_EKMAN["empathetic_dialogues"]}
    softer = {
        "surprised": {"surprise": 0.7, "joy": 0.3},
        "caring": {"joy": 0.4, "neutral": 0.4, "sadness": 0.2},
        "content": {"joy": 0.75, "neutral": 0.25},
        "sentimental": {"sadness": 0.5, "joy": 0.3, "neutral": 0.2},
        "nostalgic": {"joy": 0.4, "sadness": 0.4, "neutral": 0.2},
        "jealous": {"anger": 0.5, "sadness": 0.4, "neutral": 0.1},
        "prepared": {"neutral": 0.8, "joy": 0.2},
        "confident": {"joy": 0.6, "neutral": 0.4},
        "anticipating": {"joy": 0.6, "neutral": 0.2, "fear": 0.2},
        "trusting": {"neutral": 0.7, "joy": 0.3},
        "faithful": {"neutral": 0.6, "joy": 0.4},
    }
    messages = []
    for split in ("validation", "test"):
        for c in load_corpus(data, "empathetic_dialogues", split):
            feeling = str(c.extra.get("emotion"))
            shares = softer.get(feeling) or ({mapping[feeling]: 1.0} if feeling in mapping else None)
            if shares is None or not c.utterances or held_out(c.id, HELD_OUT) != validation:
                continue
            texts = dict.fromkeys([c.utterances[0].text, str(c.extra.get("situation") or "")])
            messages += [Message(t, "empathetic_dialogues", spread(shares)) for t in texts if len(t.split()) > 2]
    return messages


def events(data: Path, rng: random.Random, split: str = "train") -> list[Message]:
    """event2mind's events in somebody's mouth: most in the first person, some of others, felt less surely."""
    people = ("he", "she", "my brother", "my sister", "my mum", "Tom", "my boss", "my neighbour", "my friend")
    messages = []
    for event, words in _events(data, split):
        shares = feelings(words)
        if not shares:
            continue
        told = first_person(event)
        if told is not None:
            messages.append(Message(told, "event2mind", spread(shares)))
        if rng.random() < 0.15 and (of_other := third_person(event, rng.choice(people))):
            softer = {label: share * 0.5 for label, share in shares.items()}
            messages.append(
                Message(of_other, "event2mind", spread(softer | {"neutral": softer.get("neutral", 0) + 0.5}))
            )
    return messages


def _events(data: Path, split: str) -> Iterable[tuple[str, list[str]]]:
    import gzip

    with gzip.open(data / "event2mind" / f"{split}.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield row["event"], row["x"]


def emobank(data: Path, split: str = "train") -> list[Message]:
    """Sentences with valence and arousal."""
    return [
        Message(u.text, "emobank", affect=(float(u.extra["valence"]), float(u.extra["arousal"])))
        for c in load_corpus(data, "emobank", split)
        for u in c.utterances
    ]


def chats(files: Sequence[Path], corpus: str = "chats", *, validation: bool = False) -> list[Message]:
    """Everyday chats written for training: the first label, and where a second is accepted, some of that."""
    return [m for c in chat_conversations(files, validation=validation) for m in of_chat(c, corpus)]


def chat_conversations(files: Sequence[Path], *, validation: bool = False) -> list[Conversation]:
    """The everyday chats of the files, of those the share kept for validation or the rest."""
    return [
        c
        for file in files
        for c in read_jsonl(file)
        if held_out(str(c.extra.get("pair") or c.id), HELD_OUT) == validation
    ]


def of_chat(c: Conversation, corpus: str = "chats") -> list[Message]:
    """The messages of one such chat, in order."""
    messages = []
    for u in c.utterances:
        accepted = [str(label) for label in u.extra.get("accepted") or [u.emotion]]
        shares = dict.fromkeys(accepted, 0.35) | {str(u.emotion): 0.65 if len(accepted) > 1 else 1.0}
        messages.append(Message(u.text, corpus, spread(shares)))
    return messages


def mix(data: Path, chat_files: Sequence[Path], seed: int) -> list[Message]:
    """All that a default model learns single messages from, in the order of the corpora; what is tested is left out."""
    rng = random.Random(seed)
    friends = [
        of_conversations(data, Source(corpus=c, avoid=tuple(p for p in FRIENDS if p[0] != c)), seed)
        for c in ("meld", "ecf", "emorynlp")
    ]
    daily = of_conversations(data, Source(corpus="dailydialog", avoid=DAILY, share=0.5), seed)
    context = of_conversations(data, Source(corpus="emocontext"), seed)
    found = [m for some in friends for m in some]
    found += daily + context + goemotions(data) + isear(data) + xed(data) + tweets(data)
    found += empathetic(data) + events(data, rng) + emobank(data) + chats(chat_files)
    return found


_TALK: tuple[tuple[str, str, int], ...] = (
    ("empathetic_dialogues", "validation", 9000),
    ("empathetic_dialogues", "test", 9000),
    ("esconv", "validation", 4000),
    ("esconv", "test", 4000),
    ("esconv", "failed", 4000),
    ("emocontext", "train", 16000),
    ("self_dialogue", "train", 14000),
    ("tweet_emoji", "train", 9000),
    ("tweet_irony", "train", 2800),
    ("mustard", "train", 1200),
    ("ubuntu_irc", "train", 6000),
    ("cmu_dog", "train", 7000),
    ("topical_chat", "validation", 4000),
    ("taskmaster4", "train", 3000),
    ("swda", "train", 4000),
)
"""Conversations nobody labelled, or whose labels are not of single messages: only the teacher speaks of them."""


def talk(data: Path, seed: int) -> list[Message]:
    """Unlabelled messages as people write them, short ones; each text once."""
    rng = random.Random(seed)
    found: dict[str, Message] = {}
    for corpus, split, n in _TALK:
        texts = []
        for c in load_corpus(data, corpus, split):
            if corpus == "empathetic_dialogues" and held_out(c.id, HELD_OUT):
                continue
            texts += [u.text.replace("@user", "").strip() for u in c.utterances]
        texts = [t for t in dict.fromkeys(texts) if 1 <= len(t.split()) <= 30 and len(t) < 200]
        for text in rng.sample(texts, min(n, len(texts))):
            found.setdefault(text, Message(text, f"talk-{corpus}"))
    return list(found.values())


def weighted(m: Message, weight: float) -> Message:
    """The message with another weight."""
    return replace(m, weight=weight)
