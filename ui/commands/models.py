"""`rapport models`: what is shipped."""

from typing import Annotated, Any

import typer

from ui.commands.options import AsJson


def models(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Print this model's card.")] = None,
    as_json: AsJson = False,
) -> int:
    """List the models that are shipped, or print one's card."""
    from models.catalogue import shipped
    from ui.commands.terminal import pick, write_card, write_json, write_models

    cards = shipped()
    if name is None:
        if as_json:
            write_json({"models": [_card(card) for card in cards]})
        else:
            write_models(cards)
        return 2 if any(card.fault for card in cards) else 0
    card = pick(name, {c.name: c for c in cards}, "model")
    if as_json:
        write_json({**_card(card), "card": card.text})
    else:
        write_card(card)
    return 0


def _card(card: Any) -> dict[str, Any]:
    return {
        "name": card.name,
        "task": card.task,
        "labels": list(card.labels),
        "summary": card.summary,
        "scores": card.scores,
        "path": str(card.path),
        "fault": card.fault,
    }
