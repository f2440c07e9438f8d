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
    "easyvqa": "easy-VQA, drawings of one shape: MIT",
}
"""By collection, as far as we could find out. Not legal advice."""

LIMITS = """\
It sees 128 x 128 pixels: what is small in a picture it does not see, and it reads no text. It learned from some eleven
thousand photographs, mostly of people and dogs outdoors, of single objects, and of North American rooms; what is not
like them it knows little of. Captions say what their writers assumed of strangers: do not use it to tell people's
gender, age, origin or feelings, nor to find or recognise anyone. It knows nobody's face.

**Not for commercial use**, as the Flickr8k photographs exclude it. A person should confirm the licences before anything
made with this network is passed on."""


def write_vision_card(folder: Path, *, seed: int, collections: Sequence[str], validation: Mapping[str, float]) -> None:
    """card.md and scores.json of a finished run. Test scores are not known yet: `evaluate_encoder` gives them."""
    rows = "\n".join(f"| {metric} | {value:.2f} |" for metric, value in validation.items())
    licences = "\n".join(f"* {LICENCES[name]}" for name in collections)
    text = f"""\
# {folder.name}

Our own small picture network: what is where on a grid of 36 cells, and one vector to compare with those of sentences.

Trained from nothing with `rapport train vision/encoder --data ../shared/data --seed {seed}`; captions are the vectors
of all-MiniLM-L6-v2 (Apache-2.0), which stay as they are.

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
