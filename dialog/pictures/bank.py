"""What the frozen encoders make of every picture and text of a training run, made once and kept on disk."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from dialog.corpora.pictures import read_pictures
from dialog.pictures.drawing import taken_apart
from dialog.pictures.parts import D_PART, with_parts
from dialog.reading.seeing import Encoding, PictureRegions, see
from dialog.reading.text_vectors import TextReader, TextVectors
from models.device import device_of, mixed_precision
from models.tensors import read_file, read_note, write_file

PICTURES, PARTS, TEXTS = "pictures.safetensors", "parts.safetensors", "texts.safetensors"
BATCH = 64
KEPT_EVERY = 512
"""Pictures between two times of saving a bank that grows."""
Key = tuple[str, str]
"""Collection and picture."""
WHOLE = ("pooled", "words", "classes")
"""What an encoder may tell of a whole picture."""


class Bank:
    """Pictures and texts by name, as half-precision tensors: 15,000 pictures of 36 regions take about a gigabyte.

    What goes into a training run's bank is computed in bfloat16, several times as fast where a CPU has instructions
    for it; `exact` computes as a live dialogue does.
    """

    def __init__(self, *, exact: bool = False) -> None:
        self.exact = exact
        self.pictures: dict[Key, PictureRegions] = {}
        self.texts: dict[str, TextVectors] = {}

    def see(
        self,
        data: Path,
        keys: Iterable[Key],
        eyes: Encoding,
        report: Callable[[int, int], None] | None = None,
        keep: Callable[[], None] | None = None,
    ) -> None:
        """Adds the pictures that are not there yet; `keep` is called now and then, to save what there is. ValueError
        names one that is nowhere in the data."""
        wanted = [key for key in dict.fromkeys(keys) if key not in self.pictures]
        waiting, unkept = list[tuple[Key, Image.Image]](), 0
        for done, found in enumerate(_opened(data, wanted)):
            if waiting and (len(waiting) == BATCH or waiting[0][0][0] != found[0][0]):
                unkept += len(waiting)
                self._encode(waiting, eyes)
                if report:
                    report(done, len(wanted))
                if keep and unkept >= KEPT_EVERY:
                    keep()
                    unkept = 0
            waiting.append(found)
        self._encode(waiting, eyes)

    def take_apart(self, data: Path, keys: Iterable[Key], d_region: int) -> None:
        """Adds those of the pictures that are drawings by their parts alone, without an encoder: their one region of
        `d_region` is empty."""
        nothing = PictureRegions(torch.zeros(1, d_region), torch.tensor([[0.0, 0.0, 1.0, 1.0]]), None)
        for key, picture in _opened(data, [key for key in dict.fromkeys(keys) if key not in self.pictures]):
            found = with_parts(nothing, taken_apart(picture))
            if found.parts is not None:
                self.pictures[key] = found

    def read(self, texts: Iterable[str], reader: TextReader) -> None:
        """Adds the texts that are not there yet."""
        new = [text for text in dict.fromkeys(texts) if text not in self.texts]
        for start in range(0, len(new), 512):
            part = new[start : start + 512]
            with self._autocast(device_of(reader.encoder)):
                read = reader.read(part)
            for text, vectors in zip(part, read, strict=True):
                self.texts[text] = TextVectors(vectors.words.half(), vectors.sentence.half())

    def save(self, folder: Path, *, eyes: str, reader: str) -> None:
        """Everything in safetensors files, for the next run over the encoders of these versions."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.pictures:
            pictures = list(self.pictures.values())
            packed = {
                "vectors": torch.cat([p.vectors for p in pictures]),
                "boxes": torch.cat([p.boxes for p in pictures]),
            }
            for name in WHOLE:
                told = [x for p in pictures if (x := getattr(p, name)) is not None]
                if len(told) == len(pictures):
                    packed[name] = torch.stack(told)
            _write(folder / PICTURES, packed, [len(p.vectors) for p in pictures], list(self.pictures), eyes)
            apart = {key: p for key, p in self.pictures.items() if p.parts is not None}
            if apart:
                packed = {
                    "parts": torch.cat([p.parts for p in apart.values() if p.parts is not None]),
                    "boxes": torch.cat([p.part_boxes for p in apart.values() if p.part_boxes is not None]),
                }
                counts = [len(p.parts) for p in apart.values() if p.parts is not None]
                _write(folder / PARTS, packed, counts, list(apart), f"{eyes} {D_PART}")
        if self.texts:
            said = list(self.texts.values())
            packed = {"words": torch.cat([t.words for t in said]), "sentences": torch.stack([t.sentence for t in said])}
            _write(folder / TEXTS, packed, [len(t.words) for t in said], list(self.texts), reader)

    def fill_from(self, folder: Path, *, eyes: str, reader: str) -> None:
        """Adds what `save` wrote, if it was made with encoders of these versions."""
        pictures = _read(folder / PICTURES, eyes)
        if pictures is not None:
            tensors, counts, keys = pictures
            vectors, boxes = tensors["vectors"].split(counts), tensors["boxes"].split(counts)
            for i, (collection, image) in enumerate(keys):
                whole = {name: tensors[name][i] for name in WHOLE if name in tensors}
                regions = PictureRegions(vectors[i], boxes[i], None)._replace(**whole)
                self.pictures.setdefault((collection, image), regions)
        apart = _read(folder / PARTS, f"{eyes} {D_PART}")
        if apart is not None:
            tensors, counts, keys = apart
            for key, parts, corners in zip(
                keys, tensors["parts"].split(counts), tensors["boxes"].split(counts), strict=True
            ):
                if (own := self.pictures.get(tuple(key))) is not None:
                    self.pictures[tuple(key)] = own._replace(parts=parts, part_boxes=corners)
        texts = _read(folder / TEXTS, reader)
        if texts is not None:
            tensors, counts, names = texts
            for name, words, sentence in zip(names, tensors["words"].split(counts), tensors["sentences"], strict=True):
                self.texts.setdefault(name, TextVectors(words, sentence))

    def _autocast(self, device: torch.device) -> torch.autocast:
        return mixed_precision(device, enabled=not self.exact)

    def _encode(self, waiting: list[tuple[Key, Image.Image]], eyes: Encoding) -> None:
        if not waiting:
            return
        # An encoder of somebody's own need be no module of torch: then it does not mind.
        with self._autocast(device_of(eyes) if isinstance(eyes, torch.nn.Module) else torch.device("cpu")):
            found = see(eyes, [picture for _, picture in waiting])
        opened = dict(waiting)
        for key, regions in zip(opened, found, strict=True):
            pooled = None if regions.pooled is None else regions.pooled.half()
            told = (None if x is None else x.half() for x in (regions.words, regions.classes))
            kept = PictureRegions(regions.vectors.half(), regions.boxes.half(), pooled, *told)
            self.pictures[key] = with_parts(kept, taken_apart(opened[key]))
        waiting.clear()


def _opened(data: Path, keys: Iterable[Key]) -> Iterator[tuple[Key, Image.Image]]:
    """The pictures, collection by collection. ValueError names one that is nowhere in the data."""
    wanted = dict[str, set[str]]()
    for collection, image in keys:
        wanted.setdefault(collection, set()).add(image)
    for collection, images in wanted.items():
        for key, content in read_pictures(data, collection):
            if key in images:
                images.discard(key)
                yield (collection, key), Image.open(io.BytesIO(content)).convert("RGB")
        if images:
            raise ValueError(f"{len(images)} pictures of {collection} are missing, {sorted(images)[0]} among them")


def _write(path: Path, tensors: dict[str, Tensor], counts: list[int], names: Sequence[object], version: str) -> None:
    write_file(path, tensors, {"names": names, "counts": counts, "version": version})


def _read(path: Path, version: str) -> tuple[dict[str, Tensor], list[int], list[Any]] | None:
    """Tensors, rows of each name, names; None where there is no such file or it is another encoder's."""
    if not path.is_file():
        return None
    told = read_note(path)
    if told is None or told["version"] != version:
        return None
    return read_file(path), told["counts"], told["names"]
