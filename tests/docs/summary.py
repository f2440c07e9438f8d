"""README's eight rows: what is asked of rapport and what it reaches, shortfalls first."""

from typing import Any, NamedTuple

from tests.docs import benches, scores
from tests.docs.tables import percent, ratio, table


class Row(NamedTuple):
    """One figure beside what it is to reach. `short` is by how much it falls short, as a share; 0 where it does not."""

    what: str
    score: str
    wanted: str
    short: float
    where: str


def how_good() -> str:
    """The rows as a table: what falls short first, by how much it does."""
    rows = sorted(all_rows(), key=lambda row: -row.short)
    reached = [[row.what, row.score, row.wanted, "**short**" if row.short else "reached", row.where] for row in rows]
    return table(["what", "measured (95 %)", "to reach", "", "more"], reached)


def all_rows() -> list[Row]:
    """The eight, in the order of the capabilities."""
    own = [
        _own_chats("right by either of two labels", "own_either_label", 76.0),
        _own_chats("macro F1", "own_macro_f1", 68.0),
    ]
    corpora = [_emotion(name, "MELD", "weighted_f1") for name in ("emotion/ekman", "emotion/meld")]
    return [*own, *corpora, _causes(), _photographs(), _drawings(), _service()]


def _own_chats(what: str, metric: str, wanted: float) -> Row:
    """Our own chats, which the default is for."""
    figures = scores.scores_of("emotion/ekman")["behaviour"]
    return _higher(f"emotions, 383 messages of our own chats, {what}", figures, metric, wanted, "emotion")


def _emotion(model: str, part: str, metric: str) -> Row:
    figures, wanted = scores.scores_of(model)["test"][part], scores.TO_REACH[model, part]
    name = metric.replace("_", " ").replace("f1", "F1")
    return _higher(f"emotions, {part} by `{model}`, {name}", figures, metric, wanted, "emotion")


def _causes() -> Row:
    told = scores.scores_of("causes/reccon")
    if "test" not in told:
        held_out = told["held_out"][str(told["seed"])]
        what = "causes, positive F1 on what was held out of RECCON"
        return _higher(what, held_out, "positive_f1", scores.CAUSES_TO_REACH["RECCON-DD"], "causes")
    figures = told["test"]["RECCON-DD"]
    return _higher(
        "causes, RECCON-DD, positive F1", figures, "positive_f1", scores.CAUSES_TO_REACH["RECCON-DD"], "causes"
    )


def _photographs() -> Row:
    test = scores.scores_of("visual/seqdialn")["test"]
    figures = {key.replace("daquar_exact_over_blind", "gain"): value for key, value in test.items()}
    what = "photographs, DAQUAR: points over the same model without the picture"
    return _higher(what, figures, "gain", scores.OVER_BLIND, "pictures")


def _drawings() -> Row:
    figures = scores.scores_of("visual/seqdialn")["test"]
    return _higher("drawings, easy-VQA, exact match", figures, "easyvqa_accuracy", scores.DRAWINGS, "pictures")


def _service() -> Row:
    rows = [row for row in benches.run_of("serve")["rows"] if row["name"].startswith("throughput")]
    worst = min(row["ratio"] for row in rows)
    what = "the service beside the same model in one process, the worst kind of request"
    return Row(what, ratio(worst), "0.6", max(0.0, 1 - worst / 0.6), _link("service"))


def _higher(what: str, figures: dict[str, Any], metric: str, wanted: float, page: str) -> Row:
    value = figures[metric]
    return Row(what, percent(figures, metric), f"{wanted:g}", max(0.0, 1 - value / wanted), _link(page))


def _link(page: str) -> str:
    return f"[{page}](docs/measured/{page}.md)"
