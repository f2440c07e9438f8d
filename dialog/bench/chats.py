"""Made-up chats, the same for the same seed: lengths as in real ones, words that mean nothing together."""

import math
import random

from dialog.conversation import Conversation, Utterance

_VOCABULARY = (
    "i you the to a it and that do of is in what not have no on this so we know for me just be he yeah my are was "
    "with all right can like they but oh get she out here go up there want well about think okay at if one your "
    "really don't got how come as good see hey now look did her time say going him or would why back them who when "
    "tell please take wait people work something could sorry from tomorrow little only thank maybe never love night "
    "an by mean sure big those better day last any before thought again over doing still money phone dinner great "
    "because happy week wonderful car train hospital nothing anyway weather believe meeting terrible coffee finally "
    "afraid birthday colleague restaurant unbelievable deadline disappointed lol haha ugh omg thx pls gonna kinda"
)
_WORDS = _VOCABULARY.split()
_WEIGHTS = [1 / (rank + 3) for rank in range(len(_WORDS))]  # Zipf's law, flattened at the top
_ENDS = (".", ".", ".", "", "", "", "!", "?", "?", "...", " :)", " \N{FACE WITH TEARS OF JOY}", "!!")
_NAMES = ("Ann", "Bob", "Chioma", "Dmitri", "Emi", "Farid")


def made_up_chats(n_utterances: int, seed: int = 0) -> list[Conversation]:
    """Conversations of n_utterances together.

    Words an utterance are log-normal, median 7, and utterances a conversation too, median 9, as in chat, television and
    IRC corpora; 2 to 6 people. The made-up words of a tokenizer's vocabulary are few, but so are those of chats.
    """
    rng = random.Random(seed)
    conversations: list[Conversation] = []
    left = n_utterances
    while left:
        length = min(left, _log_normal(rng, 9, 0.9, 2, 400))
        left -= length
        people = rng.sample(_NAMES, rng.choice((2, 2, 2, 3, 4, 6)))
        utterances = tuple(Utterance(speaker=rng.choice(people), text=_text(rng)) for _ in range(length))
        conversations.append(Conversation(id=f"made-up-{len(conversations)}", utterances=utterances))
    return conversations


def _text(rng: random.Random) -> str:
    words = rng.choices(_WORDS, _WEIGHTS, k=_log_normal(rng, 7, 0.9, 1, 120))
    if rng.random() < 0.5:
        words[0] = words[0].capitalize()
    return " ".join(words) + rng.choice(_ENDS)


def _log_normal(rng: random.Random, median: float, spread: float, low: int, high: int) -> int:
    return max(low, min(high, round(rng.lognormvariate(math.log(median), spread))))
