"""What is left out of the separator, or exchanged in it, to compare: one row each."""

from dialog.training.emotion.ablations import Ablation

ABLATIONS: dict[str, Ablation] = {
    "short": Ablation(summary="the whole network"),
    "short-no-memory": Ablation(summary="no recurrent module", fields={"memory": "none"}),
    "short-plain": Ablation(summary="one memory, not dilated", fields={"memory": "plain"}),
    "short-dilated": Ablation(summary="two memories, the second hears the first alone", fields={"memory": "dilated"}),
    "short-ungated": Ablation(summary="memories without a gate", fields={"gated": False}),
    "short-lstm": Ablation(summary="a plain TasNet of equal size", fields={"masks": "lstm", "d_model": 214}),
}
"""By name. `fields` are what it changes in the network's configuration; `short` changes nothing."""
