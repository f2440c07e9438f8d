"""What is said beside a label: learned from tags where there are some, and from what labels rule out."""

import torch
from torch import nn

from dialog.labels import TAGS
from dialog.training.emotion.messages import LABELS, Message, spread
from dialog.training.emotion.tags import RULED_OUT, fit_tag_threshold, fit_tags, ruled_out, share_ruled_out


def vectors(texts: list[str]) -> torch.Tensor:
    """One direction a word."""
    words = ("glad", "grim", "plain", "bin")
    return torch.tensor([[float(word in text) * 4 for word in words] for text in texts])


def test_every_label_rules_out_tags_that_there_are_and_never_its_own() -> None:
    assert set(RULED_OUT) == set(LABELS)
    assert all(out <= set(TAGS) for out in RULED_OUT.values())
    assert all(label not in out for label, out in RULED_OUT.items())


def test_a_message_with_two_fair_labels_keeps_the_tags_of_both() -> None:
    out = {TAGS[i] for i in ruled_out(Message("x", "chats", spread({"joy": 0.6, "surprise": 0.4}))).nonzero()[:, 0]}
    assert "grief" in out
    assert not {"joy", "surprise", "excitement"} & out
    assert not ruled_out(Message("x", "chats")).any()


def test_the_head_learns_tags_from_those_that_have_them_and_what_not_to_say_from_labels() -> None:
    torch.manual_seed(0)
    tagged = [
        Message("glad", "goemotions", tags=frozenset(["joy"])),
        Message("grim bin", "goemotions", tags=frozenset(["embarrassment"])),
        Message("grim", "goemotions", tags=frozenset(["sadness"])),
        Message("plain", "goemotions", tags=frozenset()),
    ] * 20
    felt = [Message("plain bin", "chats", spread({"neutral": 1.0}))] * 20

    def fitted(some: list[Message]) -> nn.Linear:
        head = nn.Linear(4, len(TAGS))
        fit_tags(nn.Identity(), head, vectors, tagged, some)
        return head

    without, head = fitted([]), fitted(felt)
    threshold, f1 = fit_tag_threshold(nn.Identity(), head, vectors, tagged)
    assert f1 > 10  # three tags of 27 occur; each is found
    said = head(vectors(["glad", "grim"])).sigmoid() >= threshold
    assert [TAGS[i] for i in said[0].nonzero()[:, 0]] == ["joy"]
    assert "sadness" in [TAGS[i] for i in said[1].nonzero()[:, 0]]
    wrong = [share_ruled_out(nn.Identity(), h, vectors, felt, threshold) for h in (without, head)]
    assert wrong == [100.0, 0.0]
