"""Lists page by page, the newest first.

Where a page ends is said by what stood last on it, not by a number: what is made or deleted meanwhile neither shifts
the rest nor shows anything twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import ColumnElement, Connection, Table, and_, or_, select

from serve.edge.keys import NOBODY, PAGE
from serve.edge.problems import Refusal
from serve.edge.wording import CURSOR, MOMENT

MOST = 200
"""Things on a page."""
_LARGEST = 2**63 - 1
Moment = Annotated[str, StringConstraints(pattern=MOMENT)]
Next = Annotated[str | None, Field(description="The `cursor` of the next page; null on the last")]


class Paged(BaseModel):
    """What part of a list is wanted."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=100, ge=1, le=MOST, description="How many at most")
    cursor: str | None = Field(default=None, pattern=CURSOR, description="As `next` of the page before said")
    since: Moment | None = Field(default=None, description="Made then or later: 2026-01-31, or 2026-01-31T12:00:00Z")
    before: Moment | None = Field(default=None, description="Made earlier than that")


Asked = Annotated[Paged, Query()]
"""The query of a list that can be narrowed by time alone."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a table, and where to go on; None where there are no more."""

    rows: Sequence[dict[str, Any]]
    next: str | None


def page_of(
    db: Connection,
    table: Table,
    owner: str,
    asked: Paged,
    *,
    columns: Sequence[ColumnElement[Any]] = (),
    tie: str = "id",
    where: Sequence[ColumnElement[bool]] = (),
) -> Page:
    """The page that is asked for of an owner's things: these columns, or all. `tie` orders those of the same second;
    `where` are further conditions."""
    created, last = table.c.created, table.c[tie]
    wanted = select(*(columns or (table,))).where(table.c.owner == owner, *where)
    if asked.since is not None:
        wanted = wanted.where(created >= asked.since)
    if asked.before is not None:
        wanted = wanted.where(created < asked.before)
    if asked.cursor is not None:
        moment, _, place = asked.cursor.partition(".")
        wanted = wanted.where(or_(created < moment, and_(created == moment, last < _place(place, tie))))
    rows = db.execute(wanted.order_by(created.desc(), last.desc()).limit(asked.limit + 1)).mappings().all()
    # Names of columns are a string of SQLAlchemy's own, which is no key of a JSON object.
    shown = [{str(name): value for name, value in row.items()} for row in rows[: asked.limit]]
    return Page(shown, f"{shown[-1]['created']}.{shown[-1][tie]}" if len(rows) > asked.limit else None)


def _place(written: str, tie: str) -> str | int:
    """An id, or a number; one that is larger than a database's is no number of ours, nor is one with letters."""
    if tie == "id":
        return written
    return min(int(written), _LARGEST) if written.isdigit() else _LARGEST


def expect_own(owner: str, what: str, *, may_list: bool) -> None:
    """Refusal 403 where those things are nobody's in particular, and others than their makers would see them."""
    if owner in (NOBODY, PAGE) and not may_list:
        detail = f"this service does not list {what}: it can be reached from elsewhere, and their ids are secrets"
        raise Refusal(403, "forbidden", detail)
