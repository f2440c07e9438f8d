"""What was meant by a message: corrections with their probabilities, and how the word being typed may end.

Nothing is changed silently: a correction says which part of the text it would replace and by what, and the text as it
was typed stays what emotions are read from.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from dialog.correction.lexicon import CONFUSED, Candidate, Lexicon, single_letters
from dialog.correction.pieces import Piece, in_case_of, pieces
from dialog.language import unfamiliar
from models import checkpoint
from models.catalogue import CORRECTION, path_of
from models.corrector import Corrector, CorrectorConfig
from models.corrector.characters import encode_words
from models.corrector.model import Read, shifted
from models.device import Where, choose_device

_COMMON = 2.0
"""Of a word met a hundred times."""
_MARGIN_DOUBLED = -0.8
MOST_WORDS = 40
"""Words that are read together; a longer message is read in parts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CorrectorModelConfig:
    """config.json of a corrector: everything its weights need to be used."""

    network: CorrectorConfig
    margin: float = 0.5
    """A word nobody writes is changed where its best candidate is likelier than itself by more. By validation."""
    margin_known: float = 0.8
    """The same of a word that is one, and may yet have been meant as another."""


class Edit(NamedTuple):
    """A part of a text that was meant otherwise: text[start:end], in code points."""

    start: int
    end: int
    typed: str
    meant: str
    probability: float


class Correction(NamedTuple):
    """A text as it was typed and as it was meant, and the steps between them, in order."""

    text: str
    corrected: str
    edits: tuple[Edit, ...]


class Completion(NamedTuple):
    """A whole word, and how likely it is among those that begin like what was typed of it."""

    word: str
    probability: float


def applied(text: str, edits: Sequence[Edit]) -> str:
    """The text with the edits made. They must be in order and not overlap."""
    parts, done = [], 0
    for edit in edits:
        parts += [text[done : edit.start], edit.meant]
        done = edit.end
    return "".join(parts) + text[done:]


class TextCorrector:
    """A corrector with its lexicon, ready for use. Safe to share between threads: nothing in it changes."""

    def __init__(
        self, name: str, config: CorrectorModelConfig, network: Corrector, lexicon: Lexicon, version: str = "0"
    ) -> None:
        self.name, self.config, self.network, self.lexicon = name, config, network.eval(), lexicon
        self.version = f"{name}@{version}"
        """Of the model; whatever changes an answer changes it."""
        self._places = {word: i for i, word in enumerate(lexicon.words[: config.network.n_words])}

    @classmethod
    def load(cls, model: str = CORRECTION, *, device: Where = None) -> "TextCorrector":
        """A shipped corrector by name, or a folder. Raises UnknownModel or CheckpointError, both ValueErrors."""
        folder = path_of(model)
        config, tensors = checkpoint.read(folder, CorrectorModelConfig)
        lexicon = lexicon_of(tensors)
        network = Corrector(config.network)
        checkpoint.fill(network, tensors, folder, prefix="network.")
        version = checkpoint.content_hash(folder)
        return cls(model, config, network.to(choose_device(device)), lexicon, version)

    def save(self, folder: Path) -> Path:
        """config.json and model.safetensors, the weights in half precision."""
        tensors = {f"network.{k}": v.half() for k, v in self.network.state_dict().items()}
        return checkpoint.write(folder, tensors | tensors_of(self.lexicon), self.config)

    @torch.inference_mode()
    def correct(self, text: str, keep: Collection[str] = ()) -> Correction:
        """The text with slips mended. Words in `keep`, in lower case, are never changed, nor is another language."""
        if unfamiliar([text]):
            return Correction(text, text, ())
        edits = [edit for part in _parts(pieces(text)) for edit in self._edits(part, keep)]
        return Correction(text, applied(text, edits), tuple(edits))

    def _edits(self, part: Sequence[Piece], keep: Collection[str]) -> list[Edit]:
        words = [_plain(p.text) for p in part]
        asked = {
            i: found
            for i, p in enumerate(part)
            if p.kind == "word"
            and words[i] not in keep
            and _may_change(words[i])
            and (found := self.lexicon.candidates(words[i]))
        }
        if not asked:
            return []
        meant = list(words)
        read, spoken = self._read(words), None
        edits = []
        for i, candidates in asked.items():
            if spoken is None:
                spoken = self._speak(meant)
            scores = self._scores(read, spoken, i, words[i], candidates)
            best = int(scores[1:].argmax())
            probability = float(scores[1 + best])
            if probability - float(scores[0]) > self._margin(words[i], candidates[best].text):
                meant[i], spoken = candidates[best].text, None
                piece = part[i]
                edits.append(
                    Edit(piece.start, piece.end, piece.text, in_case_of(piece.text, meant[i]), round(probability, 4))
                )
        return [e for e in edits if e.meant != e.typed.replace("’", "'")]

    def _margin(self, typed: str, meant: str) -> float:
        if typed in self.lexicon:
            return self.config.margin_known
        # Letters doubled or single are the slip people make again and again, at two places of a word at once.
        if (
            len(typed) > 5
            and self.lexicon.log_count(meant) > _COMMON
            and single_letters(typed) == single_letters(meant)
        ):
            return min(self.config.margin, _MARGIN_DOUBLED)
        return self.config.margin

    def _read(self, words: Sequence[str]) -> Read:
        mask = torch.ones(1, len(words), dtype=torch.bool, device=self._device)
        return self.network.read(self._vectors(words)[None], mask)

    def _speak(self, meant: Sequence[str]) -> Tensor:
        mask = torch.ones(1, len(meant), dtype=torch.bool, device=self._device)
        return self.network.speak(shifted(self._vectors(meant)[None]), mask)[0]

    def _scores(self, read: Read, spoken: Tensor, place: int, typed: str, candidates: Sequence[Candidate]) -> Tensor:
        """Probabilities (1 + C): to keep the word, and of each candidate."""
        query = self.network.queries(read, spoken[:, place : place + 1], place)[:, 0]
        vectors = self._vectors([c.text for c in candidates])[None]
        features = torch.tensor([[c.features for c in candidates]], device=self._device)
        known = torch.tensor([self.lexicon.typed_features(typed)], device=self._device)
        allowed = torch.ones(1, len(candidates), dtype=torch.bool, device=self._device)
        return self.network.scores(query, known, vectors, features, allowed)[0].exp()

    @torch.inference_mode()
    def complete(self, text: str, k: int = 3) -> list[Completion]:
        """The likeliest k words to end the text with: the one being typed, or after a space the next one."""
        part = pieces(text)[-MOST_WORDS:]
        open_word = part and part[-1].end == len(text) and part[-1].kind == "word"
        typed = part[-1].text if open_word else ""
        if part and part[-1].end == len(text) and not open_word and part[-1].kind == "protected":
            return []
        before = [_plain(p.text) for p in (part[:-1] if open_word else part)]
        spoken = self._speak([*before, ""])[0, -1]
        scores = self.network.next_scores(spoken)
        prefix = _plain(typed)
        words = self.lexicon.beginning_with(prefix) if prefix else self.lexicon.words[: len(self._places)]
        if not words:
            return []
        places = [self._places.get(w, -1) for w in words]
        floor = scores.min() - 1.0  # of words that are too rare to be foretold
        found = torch.where(torch.tensor(places) >= 0, scores[torch.tensor(places).clamp(min=0)].cpu(), floor.cpu())
        likely, at = found.softmax(0).topk(min(k, len(words)))
        return [
            Completion(in_case_of(typed, words[i]), round(float(p), 4))
            for p, i in zip(likely, at.tolist(), strict=True)
        ]

    def _vectors(self, words: Sequence[str]) -> Tensor:
        y: Tensor = self.network.characters(encode_words(words).to(self._device))
        return y

    @property
    def _device(self) -> torch.device:
        return self.network.next_bias.device


def _may_change(word: str) -> bool:
    """Letters that stand alone name a thing, a point of a list; only of "u" or "i" can it be said what was meant."""
    return len(word) > 1 or word in CONFUSED


def _plain(word: str) -> str:
    return word.lower().replace("’", "'")


def _parts(found: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    """Runs of at most MOST_WORDS pieces, cut where a sentence begins if one does in the second half."""
    start = 0
    while start < len(found):
        end = min(len(found), start + MOST_WORDS)
        if end < len(found):
            cuts = [i for i in range(start + MOST_WORDS // 2, end) if found[i].first]
            end = cuts[-1] if cuts else end
        yield found[start:end]
        start = end


@lru_cache(maxsize=1)
def shipped_lexicon() -> Lexicon:
    """The words of the shipped corrector, without its network."""
    _, tensors = checkpoint.read(path_of(CORRECTION), CorrectorModelConfig)
    return lexicon_of(tensors)


def tensors_of(lexicon: Lexicon) -> dict[str, Tensor]:
    """The lexicon as tensors: its words in UTF-8, a line each, and their counts."""
    text = "\n".join(lexicon.words).encode()
    return {
        "lexicon.words": torch.frombuffer(bytearray(text), dtype=torch.uint8),
        "lexicon.counts": torch.from_numpy(lexicon.counts.astype("int32")),
    }


def lexicon_of(tensors: dict[str, Tensor]) -> Lexicon:
    """The lexicon that `tensors_of` wrote. CheckpointError where the tensors are not those of one."""
    try:
        words = tensors["lexicon.words"].numpy().tobytes().decode().split("\n")
        counts = tensors["lexicon.counts"].tolist()
        return Lexicon(dict(zip(words, counts, strict=True)))
    except (KeyError, UnicodeDecodeError, ValueError) as error:
        raise checkpoint.CheckpointError(f"the weights hold no lexicon: {error}") from error
