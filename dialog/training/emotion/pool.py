"""How many messages of which corpus the teacher and the small model are shown."""

import random
from collections import defaultdict
from pathlib import Path

from dialog.corpora.chats import FOLDER
from dialog.training.emotion.decorations import decorated, state_words
from dialog.training.emotion.messages import LABELS, Message, chats, mix, talk, weighted

_NEUTRAL = LABELS.index("neutral")


def chat_files() -> list[Path]:
    """The files of our own everyday chats."""
    return sorted(FOLDER.glob("*.jsonl"))


def feels(m: Message) -> bool:
    """Whether a message is labelled with a feeling."""
    return m.emotion is not None and m.emotion[_NEUTRAL] < 0.5


class _Drawer:
    """Draws messages of a corpus at random, so many of them with a feeling."""

    def __init__(self, data: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.by: dict[str, list[Message]] = defaultdict(list)
        for m in mix(data, [], seed):
            self.by[m.corpus].append(m)

    def draw(self, corpus: str, n: int, share: float | None = None) -> list[Message]:
        """At most n messages; with `share` so much of them with a feeling, as far as there are any."""
        some = self.by[corpus]
        self.rng.shuffle(some)
        if share is None:
            return some[:n]
        felt, others = [m for m in some if feels(m)], [m for m in some if not feels(m)]
        k = min(len(felt), int(n * share))
        return felt[:k] + others[: n - k]


def for_teacher(data: Path, seed: int) -> list[Message]:
    """About 65,000 labelled messages and our chats: what the teacher learns from in one pass."""
    d = _Drawer(data, seed)
    found = d.draw("dailydialog", 10_500, 0.52) + d.draw("goemotions", 12_000) + d.draw("meld", 5_500, 0.55)
    found += d.draw("emorynlp", 2_500, 0.6) + [weighted(m, 0.5) for m in d.draw("emocontext", 4_000)]
    found += [weighted(m, 0.6) for m in d.draw("xed", 5_000, 0.7)] + d.draw("isear", 4_000)
    found += [m for m in d.draw("empathetic_dialogues", 9_999) if len(m.text.split()) < 40][:6_500]
    found += d.draw("event2mind", 9_000, 0.55) + d.draw("tweet_emotion", 2_500) + state_words(1_200, d.rng)
    found += chats(chat_files())
    return [decorated(m, d.rng) for m in found] + d.draw("emobank", 4_500)


def for_student(data: Path, seed: int, limit: int | None = None) -> list[Message]:
    """Labelled messages and some of plain talk, each text once, in random order; our chats first of all.

    About 190,000 of them; `limit` keeps so many.
    """
    d = _Drawer(data, seed)
    found = d.draw("goemotions", 30_000) + d.draw("dailydialog", 22_000, 0.5) + d.draw("meld", 8_000, 0.6)
    found += d.draw("emorynlp", 4_000, 0.6) + d.draw("emocontext", 7_000, 0.6) + d.draw("xed", 9_000, 0.7)
    found += d.draw("isear", 5_000) + d.draw("empathetic_dialogues", 9_000) + d.draw("event2mind", 13_000, 0.55)
    found += d.draw("tweet_emotion", 3_000) + d.draw("emobank", 4_000) + state_words(1_500, d.rng)
    each = list({m.text: m for m in reversed(found + talk(data, seed))}.values())
    d.rng.shuffle(each)
    return (chats(chat_files()) + each)[:limit]
