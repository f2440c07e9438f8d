"""Lists page by page, the newest first.

Where a page ends is said by what stood last on it, not by a number: what is made or deleted meanwhile neither shifts
the rest nor shows anything twice.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from serve.edge.keys import NOBODY, PAGE
from serve.edge.problems import Refusal

MOST = 200
"""Things on a page."""
_LARGEST = 2**63 - 1
_DATE = r"\d{4}-\d{2}-\d{2}"
_TIME = r"\d{2}:\d{2}:\d{2}Z"
Moment = Annotated[str, StringConstraints(pattern=rf"^{_DATE}(T{_TIME})?$")]
Next = Annotated[str | None, Field(description="The `cursor` of the next page; null on the last")]


class Paged(BaseModel):
    """What part of a list is wanted."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=100, ge=1, le=MOST, description="How many at most")
    cursor: str | None = Field(
        default=None, pattern=rf"^{_DATE}T{_TIME}\.[0-9a-f]{{1,32}}$", description="As `next` of the page before said"
    )
    since: Moment | None = Field(default=None, description="Made then or later: 2026-01-31, or 2026-01-31T12:00:00Z")
    before: Moment | None = Field(default=None, description="Made earlier than that")


Asked = Annotated[Paged, Query()]
"""The query of a list that can be narrowed by time alone."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a table, and where to go on; None where there are no more."""

    rows: Sequence[sqlite3.Row]
    next: str | None


def page_of(
    db: sqlite3.Connection,
    table: str,
    owner: str,
    asked: Paged,
    *,
    columns: str = "*",
    tie: str = "id",
    where: Mapping[str, Any] | None = None,
) -> Page:
    """The page that is asked for of an owner's things. `tie` orders those of the same second; `where` has further
    conditions, each with a question mark, and their values."""
    wanted: dict[str, Any] = {"owner = ?": owner, **(where or {})}
    if asked.since is not None:
        wanted["created >= ?"] = asked.since
    if asked.before is not None:
        wanted["created < ?"] = asked.before
    sql, values = " AND ".join(wanted), [*wanted.values()]
    if asked.cursor is not None:
        created, _, last = asked.cursor.partition(".")
        # A number larger than SQLite's is no number of ours.
        place: str | int = min(int(last), _LARGEST) if tie != "id" and last.isdigit() else last
        sql += f" AND (created < ? OR (created = ? AND {tie} < ?))"
        values += [created, created, place]
    rows = db.execute(
        f"SELECT {columns} FROM {table} WHERE {sql} ORDER BY created DESC, {tie} DESC LIMIT ?",
        [*values, asked.limit + 1],
    ).fetchall()
    shown = rows[: asked.limit]
    return Page(shown, f"{shown[-1]['created']}.{shown[-1][tie]}" if len(rows) > asked.limit else None)


def holding(text: str) -> str:
    """A pattern for `LIKE ? ESCAPE '\\'` of whatever has this text in it."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def expect_own(owner: str, what: str, *, may_list: bool) -> None:
    """Refusal 403 where those things are nobody's in particular, and others than their makers would see them."""
    if owner in (NOBODY, PAGE) and not may_list:
        detail = f"this service does not list {what}: it can be reached from elsewhere, and their ids are secrets"
        raise Refusal(403, "forbidden", detail)
