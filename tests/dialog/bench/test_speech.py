"""The suite says what a second of sound costs."""

from pathlib import Path

import torch

from dialog.bench.speech import measure
from models import checkpoint
from models.mossformer2 import MossFormer2, MossFormer2Config

SMALL = MossFormer2Config(n_filters=8, kernel=32, stride=16, d_model=8, n_blocks=1, d_key=4, chunk=8, order=3)


def test_every_row_has_its_peer(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, MossFormer2(SMALL), SMALL)
    n_threads = torch.get_num_threads()
    result = measure(model=tmp_path, seconds=1.0, repeats=1, published=SMALL)
    assert [row["name"] for row in result["rows"]] == [
        "separate, 8000 Hz",
        "separate, 48000 Hz",
        "one second at 8000 Hz, against the published size",
    ]
    assert all(row["ratio"] > 0 and row["peer_seconds"] > 0 for row in result["rows"])
    assert result["threads"] == 1
    assert torch.get_num_threads() == n_threads
