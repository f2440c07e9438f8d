"""What the frozen encoders make of every picture and text of a training run, made once and kept on disk."""

import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from dialog.corpora.pictures import read_pictures
from dialog.seeing import Encoding, Seen, see
from dialog.text_vectors import TextReader, TextVectors

BATCH = 32
Key = tuple[str, str]
"""Collection and picture."""


class Bank:
    """Pictures and texts by name, as half-precision tensors: 15,000 pictures of 36 regions take under a gigabyte."""

    def __init__(self) -> None:
        self.pictures: dict[Key, Seen] = {}
        self.texts: dict[str, TextVectors] = {}

    def see(
        self, data: Path, keys: Iterable[Key], eyes: Encoding, report: Callable[[int, int], None] | None = None
    ) -> None:
        """Adds the pictures that are not there yet. ValueError names one that is nowhere in the data."""
        wanted = dict[str, set[str]]()
        for collection, image in keys:
            if (collection, image) not in self.pictures:
                wanted.setdefault(collection, set()).add(image)
        n, done = sum(map(len, wanted.values())), 0
        for collection, images in wanted.items():
            waiting = list[tuple[Key, Image.Image]]()
            for key, content in read_pictures(data, collection):
                if key in images:
                    images.discard(key)
                    waiting.append(((collection, key), Image.open(io.BytesIO(content)).convert("RGB")))
                    done += 1
                if len(waiting) == BATCH:
                    self._encode(waiting, eyes)
                    if report:
                        report(done, n)
            self._encode(waiting, eyes)
            if images:
                raise ValueError(f"{len(images)} pictures of {collection} are missing, {sorted(images)[0]} among them")

    def read(self, texts: Iterable[str], reader: TextReader) -> None:
        """Adds the texts that are not there yet."""
        new = [text for text in dict.fromkeys(texts) if text not in self.texts]
        for start in range(0, len(new), 512):
            part = new[start : start + 512]
            for text, vectors in zip(part, reader.read(part), strict=True):
                self.texts[text] = TextVectors(vectors.words.half(), vectors.sentence.half())

    def save(self, path: Path) -> None:
        """Everything in one safetensors file, for the next run over the same encoders."""
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = dict[str, Tensor]()
        for (collection, image), seen in self.pictures.items():
            for name, tensor in seen._asdict().items():
                if tensor is not None:
                    tensors[f"picture\t{collection}\t{image}\t{name}"] = tensor.contiguous()
        for text, vectors in self.texts.items():
            tensors |= {f"text\t{text}\twords": vectors.words, f"text\t{text}\tsentence": vectors.sentence}
        save_file(tensors, path)

    @classmethod
    def load(cls, path: Path) -> "Bank":
        """What `save` wrote."""
        bank, parts = cls(), dict[Key, dict[str, Tensor]]()
        texts = dict[str, dict[str, Tensor]]()
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 (no mapping: it cannot be iterated over)
                kind, *rest = name.split("\t")
                if kind == "picture":
                    parts.setdefault((rest[0], rest[1]), {})[rest[2]] = file.get_tensor(name)
                else:
                    texts.setdefault(rest[0], {})[rest[1]] = file.get_tensor(name)
        bank.pictures = {key: Seen(p["vectors"], p["boxes"], p.get("pooled")) for key, p in parts.items()}
        bank.texts = {text: TextVectors(p["words"], p["sentence"]) for text, p in texts.items()}
        return bank

    def _encode(self, waiting: list[tuple[Key, Image.Image]], eyes: Encoding) -> None:
        if not waiting:
            return
        for (key, _), seen in zip(waiting, see(eyes, [picture for _, picture in waiting]), strict=True):
            pooled = None if seen.pooled is None else seen.pooled.half()
            self.pictures[key] = Seen(seen.vectors.half(), seen.boxes.half(), pooled)
        waiting.clear()


def padded(seen: Sequence[Seen]) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Pictures as a batch: vectors (B, R, D) and boxes (B, R, 4) in float32, mask (B, R), pooled (B, E) or None."""
    n = max(len(s.vectors) for s in seen)
    vectors = torch.zeros(len(seen), n, seen[0].vectors.shape[1])
    boxes, mask = torch.zeros(len(seen), n, 4), torch.zeros(len(seen), n, dtype=torch.bool)
    for i, s in enumerate(seen):
        vectors[i, : len(s.vectors)], boxes[i, : len(s.boxes)] = s.vectors.float(), s.boxes.float()
        mask[i, : len(s.vectors)] = True
    pooled = [s.pooled for s in seen if s.pooled is not None]
    return vectors, mask, boxes, torch.stack(pooled).float() if len(pooled) == len(seen) else None
