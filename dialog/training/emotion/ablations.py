"""What is left out of the context model, or exchanged in it, for the ablation table: one row each."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Ablation:
    """A variant of a recipe. `fields` are what it changes in the context model's configuration."""

    summary: str
    fields: dict[str, object] = field(default_factory=dict)


ABLATIONS: dict[str, Ablation] = {
    "context": Ablation(summary="the context model alone, on a fixed encoder (--start; plain without)"),
    "no-attention": Ablation(summary="as context, without identity-masked attention", fields={"n_attention_layers": 0}),
    "no-gru": Ablation(summary="as context, without DialogGRU", fields={"n_gru_layers": 0}),
    "no-branches": Ablation(
        summary="as context, with the CRF alone", fields={"n_attention_layers": 0, "n_gru_layers": 0}
    ),
    "no-crf": Ablation(summary="as context, without a CRF", fields={"crf": "none"}),
    "linear-chain": Ablation(summary="as context, with a linear-chain CRF", fields={"crf": "linear"}),
}
"""By name. `context` changes nothing, for comparison."""
