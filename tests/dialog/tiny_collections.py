"""Picture collections in the real ones' layout, made by hand."""

import gzip
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220), "white": (240, 240, 240)}


def table(folder: Path, name: str, rows: Sequence[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / f"{name}.jsonl.gz", "wt") as file:
        file.write("\n".join(json.dumps(row) for row in rows))


def archive(folder: Path, pictures: dict[str, tuple[int, int, int]], size: tuple[int, int] = (32, 32)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "images-000.tar", "w") as tar:
        for key, colour in sorted(pictures.items()):
            content = io.BytesIO()
            Image.new("RGB", size, colour).save(content, "PNG")
            member = tarfile.TarInfo(f"{key}.png")
            member.size = content.tell()
            content.seek(0)
            tar.addfile(member, content)


def make_collections(folder: Path) -> Path:
    """The folder, whose `vision` has pictures of one colour; what is asked about them depends on it."""
    root, names = folder / "vision", list(COLOURS)

    def colours(keys: Sequence[str]) -> dict[str, tuple[int, int, int]]:
        return {key: COLOURS[names[i % 4]] for i, key in enumerate(keys)}

    def asked(i: int) -> list[dict[str, str]]:
        of, tried = names[i % 4], names[(i // 4) % 4]
        return [{"q": "what is it ?", "a": of}, {"q": f"is it {tried}", "a": "yes" if of == tried else "no"}]

    for collection, n, n_train in (("daquar", 40, 32), ("easyvqa", 24, 16)):
        keys = [f"image{i}" for i in range(n)]
        splits = ["train" if i < n_train else "test" for i in range(n)]
        rows = [{"image": k, "split": splits[i], "rounds": asked(i)} for i, k in enumerate(keys)]
        table(root / collection, "rounds", rows)
        archive(root / collection, colours(keys))

    photos = [f"p{i}" for i in range(16)]
    part = dict(zip(photos, ["train"] * 8 + ["dev"] * 4 + ["test"] * 4, strict=True))
    caption = ["A man is running in a red shirt .", "The man running wears a red shirt .", "A man is sitting ."]
    table(root / "flickr8k", "captions", [{"image": k, "split": part[k], "captions": caption} for k in photos])
    statements = [
        {"image": k, "split": part[k], "statement": f"it is {names[i % 4]} .", "label": label}
        for i, k in enumerate(photos)
        for label in ("entailment", "contradiction", "neutral")
    ]
    table(root / "flickr8k", "statements", statements)
    judged = [
        {"image": photos[12 + i % 4], "caption": f"why {i}", "crowd_yes": 3 * (i < 2), "crowd_no": 3 * (i >= 2)}
        for i in range(8)
    ]
    table(root / "flickr8k", "judged_captions", judged)
    archive(root / "flickr8k", colours(photos))

    scenes = [*(f"dev-{n}-0-0" for n in range(24)), *(f"test-{n}-0-0" for n in range(4))]
    table(
        root / "nlvr",
        "statements",
        [
            {"image": k, "split": k.split("-")[0], "statement": "it is good", "label": "true" if i % 2 else "false"}
            for i, k in enumerate(scenes)
        ],
    )
    archive(root / "nlvr", colours(scenes), (100, 25))
    return root.parent
