"""Ask about a picture, in rounds: the built-in SeqDialN behind the port of dialog/pictures/answers.py."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import torch
from torch import Tensor

from dialog.pictures.answers import NOT_KNOWN, Answer, checked
from dialog.pictures.deciding import decide
from dialog.pictures.drawing import taken_apart
from dialog.pictures.everyday import Everyday, open_everyday
from dialog.pictures.evidence import Evidence
from dialog.pictures.familiarity import Familiarity, is_blank, is_noise, picture_features
from dialog.pictures.parts import with_parts
from dialog.pictures.scene import Scene, read_scene
from dialog.reading.seeing import Encoding, PictureRegions, padded, see, stacked
from dialog.reading.text_vectors import TextReader, batched, joined
from models import checkpoint
from models.catalogue import EYES, VISUAL, eyes_folder, path_of
from models.device import Where, choose_device, device_of
from models.encoders.image import load_image_encoder
from models.encoders.text import BUILT_IN, TextEncoder
from models.mixers.base import leaves, rebuilt
from models.seqdialn.beam import beam_search
from models.seqdialn.config import SPECIAL_WORDS, SeqDialNConfig
from models.seqdialn.decoders import END, START, UNKNOWN
from models.seqdialn.model import LiveState, RegionStates, SeqDialN, Step, side_by_side
from models.tensors import pack, unpack

if TYPE_CHECKING:
    from PIL.Image import Image

TWIN = "blind"
"""The folder, in a model's own, of the same model that sees no picture."""
BLANK = 2.0
"""How strange a picture is at least in which there is nothing to be seen."""
RECOGNISED = 0.25
"""How likely ImageNet's likeliest class must be for a picture at the limit of strangeness to count as familiar; in
proportion beyond it. Of Caltech-101's training pictures, unlike any learned from, 6 per cent of those recognised so far
are refused in place of 26; a page of text and noise are never recognised."""
PAGES = (916, 918, 922)
"""ImageNet's web site, crossword and menu: to recognise a page is not to be able to read it."""
DRAWINGS = ("nlvr", "easyvqa")
"""Collections that are drawn."""
UNKNOWN_PICTURE = "the picture is unlike those the model has learned from"
_OPEN = re.compile(r"\s*(what|who|whose|where|which|how)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class VisualModelConfig:
    """config.json of a model that answers about pictures: everything its weights need to be used."""

    network: SeqDialNConfig
    answers: tuple[str, ...]
    """What the discriminative decoder chooses from, the commonest first."""
    words: tuple[str, ...] = ()
    """The generative decoder's vocabulary."""
    picture_encoder: str = EYES
    picture_encoder_version: str = ""
    """Of the encoder trained with, where that is a folder of ours; another one's regions would mean nothing here."""
    text_encoder: str = BUILT_IN
    temperature: float = 1.0
    """Divides the scores of yes and no before probabilities are read off; found on validation."""
    open_temperature: float = 1.0
    """The same where neither yes nor no is the likeliest answer."""
    least_probability: float = 0.0
    """Below this the likeliest answer counts as not known. By validation."""
    blind: bool = False
    """Sees no picture: what pictures add is measured against this."""
    kinds: tuple[str, ...] = ()
    """The collections of training, in the order of the familiarity's kinds."""
    detector: str = ""
    """Of things with boxes, by name or folder; empty: none."""
    priors: tuple[tuple[str, str, str], ...] = ()
    """The commonest answers of training: kind of round, question type or nothing, answer."""

    def __post_init__(self) -> None:
        if len(self.answers) < 2 or len(set(self.answers)) != len(self.answers):
            raise ValueError(f"expected at least 2 answers, all different, got {len(self.answers)}")
        if len(self.words) != self.network.n_words:
            raise ValueError(f"{len(self.words)} words, but the network's vocabulary has {self.network.n_words}")
        if min(self.temperature, self.open_temperature) <= 0:
            raise ValueError(f"temperatures must be positive: {self.temperature}, {self.open_temperature}")


class SeqDialNLook(NamedTuple):
    """A picture as the network keeps it for all rounds."""

    regions: RegionStates  # one picture: (1, R, D)
    boxes: tuple[tuple[float, float, float, float], ...]
    strangeness: float | None
    evidence: Evidence | None = None
    drawn: bool = False
    """Whether it is a drawing like those of training; evidence is of photographs."""
    scene: Scene | None = None
    """Of a drawing of several things: what there is of them."""


@dataclass(frozen=True, slots=True)
class VisualState:
    """A dialogue between two questions: the picture, what was said, and what the network carries on."""

    look: SeqDialNLook
    rounds: tuple[tuple[str, str], ...]
    live: LiveState
    caption: str = ""
    version: str = ""

    def to_bytes(self) -> bytes:
        """For a database; `VisualDialog.restore` reads it."""
        v, _, pooled, by_parts = self.look.regions
        kept = {"v": v} | ({} if pooled is None else {"pooled": pooled})
        tensors = kept | {f"live.{i:03d}": leaf for i, leaf in enumerate(leaves(self.live))}
        told: dict[str, Any] = {
            "version": self.version,
            "rounds": self.rounds,
            "caption": self.caption,
            "boxes": self.look.boxes,
            "strangeness": self.look.strangeness,
            "drawn": self.look.drawn,
            "by_parts": by_parts is not None,
        }
        if self.look.evidence is not None:
            tensors |= {f"evidence.{k}": v for k, v in self.look.evidence._asdict().items()}
        if self.look.scene is not None:
            told["scene"] = self.look.scene.to_list()
        return pack(tensors, told)


class VisualDialog:
    """Answers questions about pictures; safe to call from several threads."""

    def __init__(
        self,
        name: str,
        version: str,
        config: VisualModelConfig,
        network: SeqDialN,
        options: Tensor,
        eyes: Encoding,
        reader: TextReader,
        familiarity: Familiarity | None = None,
        everyday: Everyday | None = None,
    ) -> None:
        self.everyday = everyday
        self.name, self.version, self.config = name, version, config
        self.network = network.eval()
        self.device = device_of(network)
        """Where the network runs; what comes in and goes out is on the CPU."""
        self.options = options.to(self.device)
        self.eyes, self.reader, self.familiarity = eyes, reader, familiarity
        if options.shape != (len(config.answers), config.network.d_answer):
            raise ValueError(
                f"options are {tuple(options.shape)}, expected {(len(config.answers), config.network.d_answer)}"
            )
        self._yes_or_no = torch.tensor([a in ("yes", "no") for a in config.answers], device=self.device)

    @classmethod
    def load(cls, name: str | Path = VISUAL, *, device: Where = None) -> Self:
        """A shipped model by name, or any folder that holds one, on a device: by default a card where there is one.

        Raises ValueError that says which names there are, or which file or encoder is missing.
        """
        folder = path_of(str(name))
        config, tensors = checkpoint.read(folder, VisualModelConfig)
        where = choose_device(device)
        eyes = load_image_encoder(config.picture_encoder, device=where)
        found = eyes_version(config.picture_encoder)
        if config.picture_encoder_version not in ("", found):
            raise ValueError(
                f"{folder} was trained with picture encoder {config.picture_encoder!r} of version "
                f"{config.picture_encoder_version}, but the one there is {found or 'none of ours'}"
            )
        network = checkpoint.fill(SeqDialN(config.network), tensors, folder, prefix="network.").to(where)
        kin = any(name.startswith("familiarity.") for name in tensors)
        known = {k: checkpoint.one(tensors, f"familiarity.{k}", folder) for k in Familiarity._fields if kin}
        options = checkpoint.one(tensors, "options", folder, (len(config.answers), config.network.d_answer))
        label = str(name) if not Path(name).is_dir() else folder.name
        reader = TextReader(TextEncoder.load(config.text_encoder, device=where))
        return cls(
            label,
            f"{label}@{checkpoint.content_hash(folder)}",
            config,
            network,
            options.float(),
            eyes,
            reader,
            Familiarity(**known) if known else None,
            None if config.blind else open_everyday(folder, config.picture_encoder, eyes, reader, config.detector),
        )

    def look(self, picture: "Image") -> SeqDialNLook:
        """The picture, once for all rounds."""
        regions = see(self.eyes, [picture])[0]
        drawing = taken_apart(picture)
        if self.network.parts is not None:
            regions = with_parts(regions, drawing)
        found = self.look_at(regions)
        if found.strangeness is not None and (is_blank(picture) or is_noise(picture)):
            found = found._replace(strangeness=max(found.strangeness, BLANK))
        if drawing is not None and not self.config.blind:
            found = found._replace(scene=read_scene(drawing))
        if self.everyday is None or found.drawn:
            return found
        return found._replace(evidence=self.everyday.witness.evidence(picture, regions))

    @torch.inference_mode()
    def look_at(self, regions: PictureRegions) -> SeqDialNLook:
        """The look of a picture whose regions are known already."""
        strangeness, drawn = None, False
        if self.familiarity is not None:
            distances = self.familiarity.distances(picture_features(regions.vectors)[None])[0]
            strangeness = float(distances.min() / self.familiarity.limit)
            if regions.classes is not None and strangeness > 1:
                p, likeliest = regions.classes.softmax(-1).max(0)
                sure = 0.0 if int(likeliest) in PAGES else float(p)
                strangeness = 1.0 if sure >= RECOGNISED * strangeness else strangeness
            nearest = int(distances.argmin())
            drawn = nearest < len(self.config.kinds) and self.config.kinds[nearest] in DRAWINGS
        if self.config.blind:
            regions = blinded(regions)
        by_parts = self.network.parts is not None and regions.part_boxes is not None
        boxes = regions.part_boxes if by_parts and regions.part_boxes is not None else regions.boxes
        corners = tuple((b[0], b[1], b[2], b[3]) for b in boxes.tolist())
        return SeqDialNLook(self.states([regions]), corners, strangeness, drawn=drawn or by_parts)

    def states(self, pictures: Sequence[PictureRegions]) -> RegionStates:
        """What the network keeps of pictures for all their rounds: of drawings their parts, where it has an eye for
        them, of others their regions."""
        parts = [p.parts for p in pictures if p.parts is not None and self.network.parts is not None]
        drawn = self.network.look_at_parts(*stacked(parts, self.device)) if parts else None
        if drawn is not None and len(parts) == len(pictures):
            return drawn
        where = torch.tensor([drawn is not None and p.parts is not None for p in pictures], device=self.device)
        seen = self.network.look(*padded([p for p, there in zip(pictures, where.tolist(), strict=True) if not there],
                                         self.device))  # fmt: skip
        return seen if drawn is None else side_by_side(seen, drawn, where)

    def start(self, look: SeqDialNLook, rounds: Sequence[tuple[str, str]] = (), *, caption: str = "") -> VisualState:
        """The dialogue before its next question; with `rounds` as if those had been asked and answered so. A caption,
        if there is one, is what is known before the first question."""
        state = VisualState(look, (), self.network.initial_state(1), " ".join(caption.split()), self.version)
        for question, answer in rounds:
            state = self._said(state, checked(question), answer)[1]
        return state

    @torch.inference_mode()
    def ask(self, state: VisualState, question: str) -> tuple[Answer, VisualState]:
        """The answer, and the state after it: the cost does not depend on how many rounds there were.

        Raises BadQuestion for one that is empty or too long.
        """
        question = checked(question)
        step, after = self._said(state, question, "")
        p = self.suited(self.probabilities(step.z)[0], question)
        reasoned = dict(zip(self.config.answers, p.tolist(), strict=True))
        decided = decide(
            question,
            state.rounds,
            reasoned,
            self.everyday,
            state.look.evidence,
            lambda _: self.config.least_probability,
            state.look.scene,
        )
        strange = state.look.strangeness is not None and state.look.strangeness > 1
        # What is counted out needs no likeness to what was learned from.
        why = UNKNOWN_PICTURE if strange and not decided.counted else decided.why
        answer = Answer(
            text=NOT_KNOWN if why else decided.answers[0].text,
            answers=decided.answers,
            known=not why,
            why=why,
            written=None if decided.from_evidence else self._written(step.z),
            regions=tuple(step.p_regions[0].tolist()),
            rounds=self._used(step, int(p.argmax())),
            things=decided.things,
            retrieved=decided.retrieved,
        )
        rounds = (*state.rounds, (question, answer.text))
        return answer, VisualState(state.look, rounds, after.live, state.caption, self.version)

    def restore(self, data: bytes) -> VisualState:
        """The state that `to_bytes` wrote, for the model that made it. ValueError for anything else."""
        try:
            tensors, told = unpack(data)
            rounds = tuple((str(q), str(a)) for q, a in told["rounds"])
            boxes = tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in told["boxes"])
            strangeness, caption, version = told["strangeness"], str(told["caption"]), str(told["version"])
            drawn, by_parts, known = bool(told["drawn"]), bool(told["by_parts"]), checkpoint.part(tensors, "evidence.")
            evidence = Evidence(**known) if known else None
            scene = Scene.of_list(told["scene"]) if told.get("scene") else None
            stored = [tensors[k] for k in sorted(tensors) if k.startswith("live.")]
            v = tensors["v"]
        except Exception as error:
            raise ValueError(f"not the state of a dialogue about a picture: {error}") from error
        if version != self.version:
            raise ValueError(f"the state belongs to {version!r}, not to {self.version!r}")
        mask = torch.ones(v.shape[:2], dtype=torch.bool, device=self.device)
        pooled = tensors["pooled"].to(self.device) if "pooled" in tensors else None
        parts = torch.ones(len(v), dtype=torch.bool, device=self.device) if by_parts else None
        states = RegionStates(v.to(self.device), mask, pooled, parts)
        live = rebuilt(self.network.initial_state(1), (leaf.to(self.device) for leaf in stored))
        return VisualState(
            SeqDialNLook(states, boxes, strangeness, evidence, drawn, scene), rounds, live, caption, version
        )

    def probabilities(self, z: Tensor) -> Tensor:
        """Calibrated probabilities of every answer of the list, (B, A), for z (B, K)."""
        scores: Tensor = self.network.discriminative(z, self.options)
        closed = self._yes_or_no[scores.argmax(-1)]
        temperature = torch.where(closed, self.config.temperature, self.config.open_temperature)
        return (scores / temperature[:, None]).softmax(-1)

    def suited(self, p: Tensor, question: str) -> Tensor:
        """The probabilities (A,) of the answers that suit the question: to what or how many no yes or no does."""
        if not _OPEN.match(question) or bool(self._yes_or_no.all()):
            return p
        kept = p.masked_fill(self._yes_or_no, 0.0)
        return kept / kept.sum().clamp(min=1e-12)

    def save(self, folder: Path | str) -> Path:
        """A model's folder, in half precision."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()} | {"options": self.options}
        kept = {k: v.detach().half() for k, v in tensors.items()}
        if self.familiarity is not None:
            # Squares of many small numbers: half precision would not do.
            kept |= {f"familiarity.{k}": v for k, v in self.familiarity._asdict().items()}
        return checkpoint.write(folder, kept, self.config)

    @torch.inference_mode()
    def _said(self, state: VisualState, question: str, answer: str) -> tuple[Step, VisualState]:
        """One round run through the network, and the state after it."""
        before = state.rounds[-1] if state.rounds else (state.caption,)
        *told, asked = self.reader.read([*before, question])  # together: the encoder runs once
        said, question_texts = batched([joined(told)], self.device), batched([asked], self.device)
        step = self.network.step(state.look.regions, said, question_texts, state.live)
        rounds = (*state.rounds, (question, " ".join(answer.split())))
        return step, VisualState(state.look, rounds, step.state, state.caption, self.version)

    def _used(self, step: Step, best: int) -> tuple[float, ...]:
        """How much each earlier round was used: in MR its attention, else how far the answer moves without it."""
        n_items = step.state.h.shape[1]
        if n_items == 1:
            return ()
        # Item 0 is the caption, or nothing; item t is what was said in round t - 1.
        if step.p_rounds is not None:
            return tuple(step.p_rounds[0, 1:n_items].tolist())
        without = self.probabilities(self.network.without_each(step.state))[:, best]
        moved = (without - self.probabilities(step.z)[0, best]).abs()
        return tuple((moved / moved.sum().clamp(min=1e-9))[1:].tolist())

    def _written(self, z: Tensor) -> str | None:
        decoder = self.network.generative
        if decoder is None:
            return None
        found = beam_search(decoder, decoder.initial_state(z), START, END, width=3, max_tokens=12)
        words = [self.config.words[t - SPECIAL_WORDS] for t in found[0].tokens if t > UNKNOWN]
        return " ".join(words) or None


def eyes_version(name: str) -> str:
    """The content hash of a picture encoder that is a folder of ours; empty for any other."""
    folder = eyes_folder(name)
    return checkpoint.content_hash(folder) if checkpoint.is_model(folder) else ""


def blinded(regions: PictureRegions) -> PictureRegions:
    """One region that is the whole picture, and nothing in it to see."""
    pooled = None if regions.pooled is None else torch.zeros_like(regions.pooled)
    return PictureRegions(
        torch.zeros_like(regions.vectors[:1]), regions.boxes.new_tensor([[0.0, 0.0, 1.0, 1.0]]), pooled
    )
