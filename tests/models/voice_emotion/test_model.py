"""The head: probabilities of every label, bounded by what is usual, and how unusual it is."""

import pytest
import torch

from models.voice_emotion import VoiceEmotion, VoiceEmotionConfig

CONFIG = VoiceEmotionConfig(labels=("anger", "joy", "sadness"), n_inputs=4)


def test_rows_are_probabilities_and_do_not_mix() -> None:
    model, x = VoiceEmotion(CONFIG).eval(), torch.randn(5, 4)
    log_p, strange = model(x)
    torch.testing.assert_close(log_p.exp().sum(-1), torch.ones(5))
    alone, one = model(x[2:3])
    torch.testing.assert_close((alone[0], one[0]), (log_p[2], strange[2]))


def test_an_input_says_no_more_however_far_away_it_is_but_is_strange() -> None:
    model = VoiceEmotion(CONFIG).eval()
    far, farther = torch.zeros(1, 4), torch.zeros(1, 4)
    far[0, 0], farther[0, 0] = 4.0, 4000.0
    (said, strange), (also, stranger) = model(far), model(farther)
    torch.testing.assert_close(said, also)
    assert float(strange) == pytest.approx(4.0)
    assert float(stranger) == pytest.approx(25.0)  # one odd number does not say it all


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"labels": ("joy",), "n_inputs": 4}, "two different ones"),
        ({"labels": ("joy", "joy"), "n_inputs": 4}, "two different ones"),
        ({"labels": ("joy", "anger"), "n_inputs": 0}, "at least 1"),
        ({"labels": ("joy", "anger"), "n_inputs": 1, "least_probability": 1.5}, "probability"),
    ],
)
def test_a_config_says_what_is_wrong_with_it(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        VoiceEmotionConfig(**fields)  # type: ignore[arg-type]


def test_inputs_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(B, 4\)"):
        VoiceEmotion(CONFIG)(torch.zeros(2, 3))
