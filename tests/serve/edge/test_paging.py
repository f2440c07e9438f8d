"""Lists page by page: everything once, whatever is made or deleted meanwhile."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from serve.batches import table as batch_table
from serve.client import Client
from serve.database import tables
from serve.edge.paging import Paged, page_of
from serve.pictures import table as visual_table
from serve.pictures.table import StoredDialog
from serve.storage import Storage, StoredChat
from tests.serve.conftest import client_of
from tests.serve.in_process import InProcess


def chat(n: int, created: str = "2026-01-31T12:00:00Z") -> StoredChat:
    return StoredChat(id=f"{n:032x}", created=created, model="m", labels=(), total=n, model_version="m@1")


def add_chats(storage: Storage, *chats: StoredChat) -> None:
    rows = [{**asdict(chat), "labels": "[]"} for chat in chats]
    storage.do_now(lambda db: db.execute(insert(tables.chats), rows))


def pages(storage: Storage, **asked: Any) -> list[list[str]]:
    found, cursor = [], None
    while True:
        query = Paged(cursor=cursor, **asked)
        page = storage.do_now(lambda db, query=query: page_of(db, tables.chats, "", query), writes=False)  # type: ignore[misc]
        found.append([row["id"] for row in page.rows])
        if (cursor := page.next) is None:
            return found


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(1, 5))
def test_every_thing_is_on_one_page_and_the_newest_first(storage: Storage, seconds: list[int], limit: int) -> None:
    storage.do_now(lambda db: db.execute(delete(tables.chats)))
    made = [chat(n, f"2026-01-31T12:00:0{second}Z") for n, second in enumerate(seconds)]
    add_chats(storage, *made)
    found = pages(storage, limit=limit)
    newest = sorted(made, key=lambda c: (c.created, c.id), reverse=True)
    assert [c for page in found for c in page] == [c.id for c in newest]
    assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)


async def test_what_is_made_or_deleted_between_two_pages_shifts_nothing(
    client: httpx.AsyncClient, storage: Storage
) -> None:
    add_chats(storage, *(chat(n, f"2026-01-31T12:00:0{n}Z") for n in range(6)))
    first = (await client.get("/chats", params={"limit": 2})).json()
    add_chats(storage, chat(7, "2026-02-01T00:00:00Z"))
    await storage.delete_chat(first["chats"][-1]["id"])  # the very one the next page follows
    await storage.delete_chat(chat(0).id)
    second = (await client.get("/chats", params={"limit": 2, "cursor": first["next"]})).json()
    third = (await client.get("/chats", params={"limit": 2, "cursor": second["next"]})).json()
    assert [[c["total"] for c in page["chats"]] for page in (first, second, third)] == [[5, 4], [3, 2], [1]]
    assert third["next"] is None


async def test_a_list_is_narrowed(client: httpx.AsyncClient, storage: Storage) -> None:
    add_chats(storage, *(chat(n, f"2026-01-3{n}T12:00:00Z") for n in (0, 1)))

    async def chats(**asked: str) -> list[int]:
        return [c["total"] for c in (await client.get("/chats", params=asked)).json()["chats"]]

    assert await chats(since="2026-01-31") == [1]
    assert await chats(before="2026-01-31T12:00:00Z") == [0]
    assert await chats(since="2026-01-30T12:00:00Z", before="2026-02-01") == [1, 0]
    for n, (name, state) in enumerate((("50%_a.txt", "queued"), ("50x_a.txt", "done"), ("b.txt", "done"))):
        batch = replace(batch_table.new(name, "auto", "jsonl", "m", False, n), state=state)  # type: ignore[arg-type]
        await storage.do(lambda db, batch=batch: batch_table.add(db, batch, 9))  # type: ignore[misc]

    async def batches(**asked: str) -> list[int]:
        return [b["bytes"] for b in (await client.get("/batches", params=asked)).json()["batches"]]

    assert await batches() == [2, 1, 0]
    assert await batches(state="done") == [2, 1]
    assert await batches(filename="0%_A") == [0]
    assert await batches(filename="a.txt", state="done") == [1]
    assert await batches(cursor="9999-01-01T00:00:00Z." + "9" * 32, limit="1") == [2]


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "cursor=x", "since=yesterday", "state=lost", "offset=3"])
async def test_what_no_list_can_be_asked_is_refused(client: httpx.AsyncClient, query: str) -> None:
    refused = await client.get(f"/batches?{query}")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == f"/query/{query.partition('=')[0]}"


@pytest.mark.parametrize("path", ["/chats", "/batches", "/visual-dialogs"])
async def test_only_ones_own_things_are_listed(make_api: Callable[..., Any], storage: Storage, path: str) -> None:
    add_chats(storage, replace(chat(1), owner="ann"))
    mine = replace(batch_table.new("a", "auto", "jsonl", "m", False, 1), owner="ann")
    await storage.do(lambda db: batch_table.add(db, mine, 9))
    kept: dict[str, Any] = {"id": "d" * 32, "created": chat(1).created, "picture": b"", "caption": "a dog", "total": 0}
    look = {"width": 3, "height": 2, "boxes": [], "strangeness": None}
    dialog = StoredDialog(**kept, look=look, model_version="v@1", state=b"", owner="ann")
    await storage.do(lambda db: visual_table.add(db, dialog))
    async with client_of(make_api()) as client:
        told = (await client.get(path)).json()
    assert told[path.strip("/").replace("-", "_")] == []


def test_the_client_goes_from_page_to_page(make_api: Callable[..., Any], storage: Storage) -> None:
    asked: list[str] = []

    class Counted(InProcess):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            asked.append(request.url.path)
            return super().handle_request(request)

    add_chats(storage, *(chat(n) for n in range(250)))
    with Client("http://test", transport=Counted(make_api())) as client:
        found = client.chats()
        assert asked == []
        assert next(found).total == 249
        assert len(asked) == 1
        assert [c.total for c in found] == [*range(248, -1, -1)]
        assert len(asked) == 3
        batch = client.start_batch(__file__, filename="a.txt")
        assert [b.id for b in client.batches(state="queued", filename="a")] == [batch.id]
        assert list(client.visual_dialogs()) == []
