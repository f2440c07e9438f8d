"""Tables of what things cost, from the runs kept in docs/measured/bench: one file a suite, each with machine and date.

A file is what `rapport bench SUITE --json` printed. A run replaces the one before it: no two stand side by side.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from models.mixers import MIXERS
from tests.docs.tables import ratio, table

RUNS = Path(__file__).parents[2] / "docs" / "measured" / "bench"
LENGTHS = (256, 4096, 16384)
COSTS = ("emotion", "annotate", "reply", "visual")
"""The suites whose rows stand together in one table of ratios."""
_RECALL_NAMES = {
    "rat": "rat (L=16)",
    "exp_l2": "exp_norm (`exp_l2`)",
    "taylor_1": "softmax_rnn, order 1 (`taylor_1`)",
    "taylor_2": "softmax_rnn, order 2, wide keys (`taylor_2`)",
    "rat_2": "rat, L=2 (`rat_2`)",
    "rat_8": "rat, L=8 (`rat_8`)",
}


def run_of(suite: str) -> dict[str, Any]:
    """The run of a suite that is kept."""
    told: dict[str, Any] = json.loads((RUNS / f"{suite}.json").read_text(encoding="utf-8"))
    return told


def row_of(suite: str, name: str) -> dict[str, Any]:
    """One row of it. KeyError where no row is called so."""
    found = [row for row in run_of(suite)["rows"] if row["name"] == name]
    if not found:
        raise KeyError(f"the run of {suite} has no row {name!r}")
    return dict(found[0])


def made_by(suites: Iterable[str]) -> str:
    """A sentence each: which command on which machine on which day."""
    said = []
    for suite in suites:
        run = run_of(suite)
        clock = f", {run['clock']}" if "clock" in run else ""
        note = f" {run['note']}" if "note" in run else ""
        said.append(f"* `{run['command']}`: {run['device']}, {_threads(run)}, {run['date']}{clock}.{note}")
    return "\n".join(said)


def ratios() -> str:
    """What is measured against a peer in the same run, less is better."""
    rows = [
        [row["name"], row["peer"], ratio(row["ratio"]), f"`rapport bench {suite}`"]
        for suite in COSTS
        for row in run_of(suite)["rows"]
        if "ratio" in row
    ]
    return table(["what", "against", "ratio", "command"], rows) + "\n\n" + made_by(COSTS)


def service() -> str:
    """Throughput beside the same model in one process."""
    rows = []
    for row in run_of("serve")["rows"]:
        if row["name"].startswith("throughput"):
            pace = [f"{row[key]:.0f}" for key in ("utterances_per_second", "peer_utterances_per_second")]
            rows.append(
                [row["name"].removeprefix("throughput, "), *pace, ratio(row["ratio"]), f"{row['p99_ms'] / 1000:.1f} s"]
            )
    head = ["requests", "messages a second", "in process", "ratio, more is better", "slowest hundredth"]
    return table(head, rows) + "\n\n" + _overload() + "\n\n" + made_by(["serve"])


def pointers() -> str:
    """A row for each recipe and number of points."""
    rows = []
    for row in run_of("pointer")["rows"]:
        published = next(iter(row.get("published", {}).values()), {})
        metrics = [m for m in ("accuracy", "length", "coverage") if m in row]
        optimal = f" (optimal {row['optimal']:.3f})" if "optimal" in row else ""
        told = ", ".join(_pointed(m, row[m]) for m in metrics) + optimal
        rows.append([row["name"], told, ", ".join(_pointed(m, v) for m, v in published.items())])
    return (
        table(["recipe, points", "ours", "published (256 or 512 wide, a million examples)"], rows)
        + "\n\n"
        + made_by(["pointer"])
    )


def mixers() -> str:
    """A row for each mixer and each variant the sheet has: recall, state, and costs beside SDPA's."""
    costs = {(row["mixer"], row["T"]): row for row in run_of("mixers")["rows"] if "T" in row}
    recalls = {(row["variant"], row["tier"]): row for row in run_of("recall")["rows"]}
    order = dict.fromkeys((row["mixer"], row["variant"]) for row in run_of("recall")["rows"])
    order |= dict.fromkeys((name, name) for name in MIXERS if name not in {mixer for mixer, _ in order})
    shown, rows = set(), []
    for mixer, variant in order:
        recall = [recalls.get((variant, tier)) for tier in ("smoke", "rank")]
        floats = next((f"{r['state_floats']:,}" for r in recall if r), "")
        known = MIXERS[mixer][1] if mixer in MIXERS else None
        asked = any(recall) or (known is not None and known.streams and not known.takes_ids)
        cells = [f"{r['recall']} ({r['reached_at_step']})" if r else "" if asked else "not asked" for r in recall]
        cells.append(floats)
        for metric in ("forward_ratio", "ratio", "step_ratio"):
            found = [costs.get((mixer, T), {}).get(metric) for T in LENGTHS] if mixer not in shown else []
            cells.append(" / ".join(_short(value) for value in found if value is not None))
        shown.add(mixer)
        rows.append([_RECALL_NAMES.get(variant, variant), *cells])
    lengths = "T=256/4k/16k"
    head = ["mixer", "recall N=4", "recall N=16", "state floats", f"forward ratio {lengths}"]
    head += [f"training ratio {lengths}", f"step ratio {lengths}"]
    return table(head, rows) + "\n\n" + made_by(["recall", "mixers"])


def growth() -> str:
    """A row for each mixer: how its costs at 16 times the tokens are to those of 256, and what its state weighs."""
    rows: dict[str, dict[int, dict[str, Any]]] = {}
    for row in run_of("mixers")["rows"]:
        if "T" in row:
            rows.setdefault(row["mixer"], {})[row["T"]] = row
    cells = []
    for name in MIXERS:
        by_length = rows.get(name, {})
        first, line = by_length.get(256, {}), [name]
        for key in ("forward_seconds", "seconds", "step_seconds", "kept_bytes"):
            found = [by_length.get(T, {}).get(key) for T in (1024, 4096, 16384, 65536)]
            line.append(" / ".join(_short(value / first[key]) for value in found if value and first.get(key)))
        cells.append(line)
    head = ["mixer", *(f"{what} T=1k/4k/16k/64k to 256" for what in ("forward", "training", "a step", "kept"))]
    return table(head, cells) + "\n\n" + made_by(["mixers"])


def decoding() -> str:
    """A row for each mixer led far into a text: bytes of state, and tokens a second to those at 1,024."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for row in run_of("mixers")["rows"]:
        if "position" in row:
            found.setdefault(row["mixer"], {})[row["position"]] = row
    cells = []
    for name, by_position in sorted(found.items()):
        places = [by_position.get(position) for position in (1024, 16384, 65536)]
        pace = [p["tokens_per_second"] / by_position[1024]["tokens_per_second"] if p else None for p in places[1:]]
        sizes = (f"{p['state_bytes']:,}" if p else "" for p in places)
        cells.append([name, *sizes, *(ratio(value) for value in pace)])
    head = ["mixer", "state bytes at 1k", "16k", "64k", "tokens a second at 16k, of those at 1k", "64k"]
    return table(head, cells) + "\n\n" + made_by(["mixers"])


def needle() -> str:
    """A row for each mixer trained short: per cent found in up to sixteen times as many tokens."""
    found = [row for row in run_of("needle")["rows"] if row.get("tier") == "needle"]
    cells = [
        [_RECALL_NAMES.get(row["variant"], row["variant"]), *map(_percent, row["by_task"].values())] for row in found
    ]
    lengths = [name.split("T=")[1].split()[0] for name in found[0]["by_task"]]
    return table(["mixer", *(f"T={length}" for length in lengths)], cells) + "\n\n" + made_by(["needle"])


def equal() -> str:
    """A row for each mixer: recall where all models have softmax's parameters, and where all have GLA's state."""
    found = {(row["variant"], row["equal"]): row for row in run_of("equal")["rows"]}
    cells = []
    for variant in dict.fromkeys(name for name, _ in found):
        line = [_RECALL_NAMES.get(variant, variant)]
        for what, size in (("parameters", "parameters"), ("state", "state_floats")):
            row = found.get((variant, what))
            line += [_percent(row["recall"]), str(row["d_model"]), f"{row[size]:,}"] if row else ["", "", ""]
        cells.append(line)
    head = ["mixer", "recall, equal parameters", "width", "parameters", "recall, equal state", "width", "state"]
    return table(head, cells) + "\n\n" + made_by(["equal"])


def instructions() -> str:
    """A row for each kernel compiled for sm_90: its first case in `tests/kernels/hopper.py`, in both precisions."""
    told = json.loads((RUNS.parent / "hopper.json").read_text(encoding="utf-8"))
    rows = [
        [row["op"], row["dtype"], row["kernel"].strip("_").removesuffix("_kernel")]
        + [f"{row['instructions']:,}", ", ".join(f"{n:,}" for n in row["loops"])]
        + [f"{row[key]:,}" for key in ("registers", "stack", "shared")]
        for row in told["rows"]
    ]
    head = [
        "op",
        "dtype",
        "kernel",
        "instructions",
        "in each inner loop",
        "registers",
        "bytes spilled",
        "shared",
    ]
    made = f"* `python tests/kernels/hopper.py --counts FILE`, Triton {told['triton']}, {told['date']}."
    return table(head, rows) + "\n\n" + made


def feedforward() -> str:
    """A row for each kind of feed-forward, at equal parameters."""
    rows = []
    for row in run_of("feedforward")["rows"]:
        errors = [f"{row[task]:.4f} ± {row[f'{task}_deviation']:.4f}" for task in ("smooth", "products")]
        rows.append([row["name"], f"{row['parameters']:,}", ratio(row["ratio"]), f"{row['kept_bytes']:,}", *errors])
    head = ["kind", "parameters", "training, ratio to mlp", "bytes kept", "error, a smooth map", "error, products"]
    return table(head, rows) + "\n\n" + made_by(["feedforward"])


def kernels() -> str:
    """A row for each op: forward, forward and backward, and what is kept in between."""
    found: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in run_of("kernels")["rows"]:
        op, _, which = row["name"].rpartition(", forward")
        found.setdefault((op, row.get("peer", "")), {})[which] = row
    rows = []
    for (op, peer), passes in found.items():
        forward, both = (passes.get(which, {}) for which in ("", " and backward"))
        cells = [ratio(row.get("ratio")) or row.get("error", "") for row in (forward, both)]
        rows.append([op, peer, *cells, ratio(both.get("kept_to_inputs"))])
    return table(["op", "beside", "forward", "forward and backward", "kept"], rows) + "\n\n" + made_by(["kernels"])


def _overload() -> str:
    row = next(row for row in run_of("serve")["rows"] if row["name"].startswith("overload"))
    early, late = row["memory_mb"]
    return (
        f"At {row['offered_to_capacity']:.1f} times what it can take, the slowest hundredth of the answers took "
        f"{row['p99_ms'] / 1000:.1f} s, of the refusals (429) {row['p99_ms_of_429']:.0f} ms; memory went from "
        f"{early:,} to {late:,} MB, and {row['recovered_seconds']:.1f} s after the end a request was answered."
    )


def _pointed(metric: str, value: float) -> str:
    return f"length {value:.3f}" if metric == "length" else f"{metric} {value:.1f} %"


def _percent(value: float) -> str:
    return f"{value:.1f}"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1g}" if value < 0.1 else f"{value:.1f}"


def _threads(run: dict[str, Any]) -> str:
    return "1 thread" if run["threads"] == 1 else f"{run['threads']} threads"
