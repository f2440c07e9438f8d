"""What stands in real chats and not in corpora: emoji behind emotional messages, and messages that belong to none."""

import random
from collections.abc import Sequence
from dataclasses import replace

from dialog.conversation import Conversation
from dialog.corpora import gold
from dialog.corpora.ekman import TO_EKMAN

_EMOJI: dict[str, str] = {
    "anger": "😠😡🤬😤🙄💢",
    "disgust": "🤢🤮🤮",
    "fear": "😨😰😱😟😬😧",
    "joy": "😀😂🤣😍🥳🎉😊🙌🥰😁💕🥹",
    "sadness": "😢😭😞💔😔🙁☹🥺",
    "surprise": "😮😲🤯😳😯🙀",
}
"""Emoji that go with Ekman's labels, as people use them in chats."""


def with_emoji(
    conversations: Sequence[Conversation], corpus: str, share: float, rng: random.Random
) -> list[Conversation]:
    """Conversations with an emoji that suits its label behind so many of the emotional utterances.

    The corpora have few, and the encoder reads an emoji by its name, which no sentence of theirs contains.
    """
    mapping = TO_EKMAN.get(corpus, {})
    drawn = []
    for c in conversations:
        utterances = list(c.utterances)
        for i, label in enumerate(gold(c, corpus)):
            emoji = _EMOJI.get(mapping.get(label or "", ""))
            if emoji and rng.random() < share:
                utterances[i] = replace(utterances[i], text=f"{utterances[i].text} {rng.choice(emoji)}")
        drawn.append(replace(c, utterances=tuple(utterances)))
    return drawn


def with_strangers(
    conversations: Sequence[Conversation], corpus: str, share: float, rng: random.Random
) -> list[Conversation]:
    """Conversations of which so many get stray messages, one in eight or at least one: a message out of another
    conversation, or emoji alone, each with its own label.

    Read side by side, a strong message colours what its neighbours seem to feel. A stray one says nothing of them. The
    others are the very objects they were. Emoji have the corpus's labels; of an unknown corpus there are none.
    """
    # The one label of EmpatheticDialogues is that of the first message, told by its place.
    told_by_place = corpus == "empathetic_dialogues"
    by_emotion: dict[str, list[str]] = {}
    for label, emotion in TO_EKMAN.get(corpus, {}).items():
        by_emotion.setdefault(emotion, []).append(label)
    drawn = []
    for c in conversations:
        utterances = list(c.utterances)
        strays = 1 + len(utterances) // 8 if utterances and rng.random() < share else 0
        for _ in range(strays):
            place = rng.randint(1 if told_by_place else 0, len(utterances))
            stray = rng.choice(rng.choice(conversations).utterances or utterances)
            if by_emotion and rng.random() < 0.4:
                emotion = rng.choice([e for e in _EMOJI if e in by_emotion])
                label = rng.choice(by_emotion[emotion])
                emoji = rng.choice(_EMOJI[emotion]) * rng.randint(1, 3)
                stray = replace(stray, text=emoji, emotion=label, extra={"emotions": [label]})
            speaker = rng.choice([u.speaker for u in c.utterances] + ["Stranger"])
            utterances.insert(place, replace(stray, speaker=speaker))
        drawn.append(replace(c, utterances=tuple(utterances)))
    return drawn
