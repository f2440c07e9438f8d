"""The formats a log is written in: one row each, and all there is to know of it."""

from collections.abc import Callable
from dataclasses import dataclass

from dialog.formats.csv import write_csv
from dialog.formats.html import write_html
from dialog.formats.jsonl import write_jsonl
from dialog.formats.label_studio import write_label_studio
from dialog.formats.parquet import write_parquet


@dataclass(frozen=True, kw_only=True, slots=True)
class Writer:
    """A format to write."""

    write: Callable[..., None]
    """(items, binary file, and options of its own). Items must bear being gone through twice."""
    ending: str
    """Of a file's name, without the dot."""
    media_type: str
    title: str
    """What people call such a file."""


WRITERS: dict[str, Writer] = {
    "jsonl": Writer(write=write_jsonl, ending="jsonl", media_type="application/jsonl", title="Lines of JSON"),
    "csv": Writer(write=write_csv, ending="csv", media_type="text/csv; charset=utf-8", title="Table"),
    "html": Writer(write=write_html, ending="html", media_type="text/html; charset=utf-8", title="Report"),
    "parquet": Writer(
        write=write_parquet, ending="parquet", media_type="application/vnd.apache.parquet", title="Parquet"
    ),
    "label-studio": Writer(
        write=write_label_studio, ending="json", media_type="application/json", title="Tasks for Label Studio"
    ),
}
"""By name. A row here is all that a new one needs: the command line, the service and the page read it."""
