"""What holds for every address of the API."""

import httpx
import pytest


@pytest.mark.parametrize("path", ["/models", "/labels", "/health/ready", "/openapi.json", "/nowhere"])
async def test_head_is_get_without_its_body(client: httpx.AsyncClient, path: str) -> None:
    whole, bare = await client.get(path), await client.head(path)
    assert bare.status_code == whole.status_code
    assert bare.headers["content-type"] == whole.headers["content-type"]
    assert bare.content == b""


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", f"/chats/{'0' * 32}", "DELETE, GET, HEAD"),
        ("GET", "/emotions", "POST"),
        ("DELETE", "/batches", "GET, HEAD, POST"),
        ("POST", f"/chats/{'0' * 32}/messages/0/correction", "DELETE, PUT"),
        ("HEAD", "/emotions", "POST"),
    ],
)
async def test_a_method_that_is_not_known_is_told_all_that_are(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    response = await client.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)
