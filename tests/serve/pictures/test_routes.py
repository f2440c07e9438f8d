"""/v1/visual-dialogs and /v1/visual-answers, through the whole app but for Ray, with a real tiny model."""

import asyncio
import base64
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from serve.config import AppConfig
from serve.edge.limits import Limits
from serve.pictures import table as visual_table
from serve.pictures.deployment import Pictures
from serve.pictures.viewer import LocalViewer
from serve.storage import Storage
from tests.dialog.tiny_visual import picture
from tests.serve.conftest import client_of

NOBODY = "0" * 32


def encoded(kind: str = "PNG", size: tuple[int, int] = (48, 40), seed: int = 0) -> bytes:
    file = io.BytesIO()
    picture(seed, size).save(file, kind)
    return file.getvalue()


def data_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


async def show(client: httpx.AsyncClient, data: bytes | None = None, **fields: str) -> dict[str, Any]:
    response = await client.post("/visual-dialogs", files={"picture": data or encoded()}, data=fields)
    assert response.status_code == 201, response.text
    told: dict[str, Any] = response.json()
    assert response.headers["location"] == f"/v1/visual-dialogs/{told['id']}"
    return told


async def ask(client: httpx.AsyncClient, dialog: str, question: str) -> dict[str, Any]:
    response = await client.post(f"/visual-dialogs/{dialog}/questions", json={"question": question})
    assert response.status_code == 201, response.text
    told: dict[str, Any] = response.json()
    return told


async def test_a_picture_is_asked_about_in_rounds(seeing: httpx.AsyncClient, model: Path) -> None:
    dialog = await show(seeing, caption="a dog")
    assert (dialog["width"], dialog["height"], dialog["total"]) == (48, 40, 0)
    assert dialog["boxes"]
    assert isinstance(dialog["strangeness"], float)
    assert str(model.parent) not in str(dialog)
    first = await ask(seeing, dialog["id"], "what is it?")
    second = await ask(seeing, dialog["id"], "is it red?")
    answer = second["answer"]
    assert (first["n"], second["n"], second["question"]) == (0, 1, "is it red?")
    probabilities = [c["probability"] for c in answer["answers"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert len(answer["regions"]) == len(dialog["boxes"])
    assert sum(answer["regions"]) == pytest.approx(1, abs=1e-3)
    assert (len(first["answer"]["rounds"]), len(answer["rounds"])) == (0, 1)
    read = (await seeing.get(f"/visual-dialogs/{dialog['id']}")).json()
    assert (read["total"], read["caption"]) == (2, "a dog")
    assert [r["answer"] for r in read["rounds"]] == [first["answer"], answer]


async def test_a_form_and_json_and_all_at_once_agree(seeing: httpx.AsyncClient) -> None:
    form, plain = await show(seeing), await seeing.post("/visual-dialogs", json={"picture": data_uri(encoded())})
    assert plain.status_code == 201
    first = await ask(seeing, form["id"], "what is it?")
    assert (await ask(seeing, plain.json()["id"], "what is it?"))["answer"] == first["answer"]
    second = await ask(seeing, form["id"], "is it red?")
    rounds = [{"question": "what is it?", "answer": first["answer"]["text"]}]
    asked = {"picture": data_uri(encoded()), "rounds": rounds, "question": "is it red?"}
    whole = await seeing.post("/visual-answers", json=asked)
    assert whole.status_code == 200, whole.text
    assert _close(whole.json()["answer"], second["answer"])
    assert whole.json()["boxes"] == form["boxes"]
    as_form = {"question": "is it red?", "rounds": httpx.Response(200, json=rounds).text}
    again = await seeing.post("/visual-answers", files={"picture": encoded()}, data=as_form)
    assert _close(again.json()["answer"], second["answer"])


def _close(one: dict[str, Any], other: dict[str, Any]) -> bool:
    assert [c["text"] for c in one["answers"]] == [c["text"] for c in other["answers"]]
    assert [c["probability"] for c in one["answers"]] == pytest.approx(
        [c["probability"] for c in other["answers"]], abs=1e-4
    )
    assert one["regions"] == pytest.approx(other["regions"], abs=1e-4)
    return True


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
async def test_the_kept_picture_is_small_and_bare(seeing: httpx.AsyncClient, kind: str) -> None:
    dialog = await show(seeing, encoded(kind, (1500, 900)))
    assert (dialog["width"], dialog["height"]) == (1024, 614)
    kept = await seeing.get(f"/visual-dialogs/{dialog['id']}/picture")
    assert kept.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(kept.content)) as opened:
        assert (opened.size, opened.format) == ((1024, 614), "JPEG")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
        (b"<!doctype html><script>alert(1)</script>", 415),
        (b"%PDF-1.4", 415),
        (encoded()[:200], 422),
        (b"", 422),
    ],
)
async def test_what_is_no_picture_is_refused(seeing: httpx.AsyncClient, data: bytes, status: int) -> None:
    response = await seeing.post("/visual-dialogs", files={"picture": ("a.png", data, "image/png")})
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    same = await seeing.post("/visual-answers", json={"picture": data_uri(data), "question": "what?"})
    assert same.status_code == status


async def test_a_picture_that_is_too_large_is_refused(make_api: Callable[..., Any], config: AppConfig) -> None:
    limits = Limits(picture_bytes=3000, picture_pixels=20_000, picture_body_bytes=200_000)
    found = LocalViewer(Pictures(config.model_copy(update={"limits": limits})))
    async with client_of(make_api(limits, viewer=found)) as client:
        for data, limit in (
            (b"x" * 4000, "picture_bytes"),
            (_flat(200, 200), "picture_pixels"),
            (b"x" * 300_000, "picture_body_bytes"),
        ):
            response = await client.post("/visual-dialogs", files={"picture": data})
            assert (response.status_code, response.json()["limit"]) == (413, limit)


def _flat(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        {"picture": "http://169.254.169.254/latest"},
        {"picture": "file:///etc/passwd"},
        {"picture": "data:image/png,plain"},
        {"picture": "data:image/png;base64,!!!"},
        {"picture": "data:image/png;base64,AAAA", "engine": "openai:gpt"},
        {"picture": 5},
        {},
    ],
)
async def test_nothing_but_a_picture_that_came_along_is_taken(seeing: httpx.AsyncClient, body: dict[str, Any]) -> None:
    response = await seeing.post("/visual-dialogs", json=body)
    assert response.status_code == 422
    assert response.json()["errors"]


async def test_a_form_must_be_one(seeing: httpx.AsyncClient) -> None:
    broken = {"content-type": "multipart/form-data"}
    assert (await seeing.post("/visual-dialogs", content=b"x", headers=broken)).status_code == 400
    assert (await seeing.post("/visual-dialogs", content=b"x")).status_code == 415
    assert (await seeing.post("/visual-dialogs", data={"picture": "x"}, files={"other": b"x"})).status_code == 422
    files = {"picture": encoded()}
    bad = {"question": "what?", "rounds": "[not json"}
    assert (await seeing.post("/visual-answers", files=files, data=bad)).status_code == 422


@pytest.mark.parametrize("question", ["", "  ", "x" * 1001])
async def test_a_question_has_words_and_not_too_many(seeing: httpx.AsyncClient, question: str) -> None:
    dialog = await show(seeing)
    response = await seeing.post(f"/visual-dialogs/{dialog['id']}/questions", json={"question": question})
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/question")


async def test_questions_at_once_each_get_a_place_in_whatever_process(
    make_api: Callable[..., Any], viewer: LocalViewer
) -> None:
    async with client_of(make_api(viewer=viewer)) as one, client_of(make_api(viewer=viewer)) as other:
        dialog = (await show(one))["id"]
        asked = await asyncio.gather(*(ask((one, other)[i % 2], dialog, f"is it {i}?") for i in range(6)))
        assert sorted(r["n"] for r in asked) == list(range(6))
        assert all(len(r["answer"]["rounds"]) == r["n"] for r in asked)


async def test_a_new_version_of_the_model_looks_again(seeing: httpx.AsyncClient, storage: Storage) -> None:
    dialog = (await show(seeing))["id"]
    await ask(seeing, dialog, "what is it?")
    await storage.do(lambda db: db.exec_driver_sql("UPDATE visual_dialogs SET model_version = 'old@1', state = x'00'"))
    second = await ask(seeing, dialog, "is it red?")
    assert (second["n"], len(second["answer"]["rounds"])) == (1, 1)
    kept = await storage.do(lambda db: visual_table.get(db, dialog), writes=False)
    assert kept is not None
    assert kept.model_version == second["model_version"] != "old@1"


async def test_a_full_dialogue_says_so(make_api: Callable[..., Any], viewer: LocalViewer) -> None:
    async with client_of(make_api(Limits(rounds_per_dialog=1), viewer=viewer)) as client:
        dialog = (await show(client))["id"]
        await ask(client, dialog, "what is it?")
        response = await client.post(f"/visual-dialogs/{dialog}/questions", json={"question": "and now?"})
        assert (response.status_code, response.json()["limit"]) == (409, "rounds_per_dialog")


async def test_a_forgotten_picture_is_gone(seeing: httpx.AsyncClient, storage: Storage) -> None:
    dialog = (await show(seeing))["id"]
    await ask(seeing, dialog, "what is it?")
    assert (await seeing.delete(f"/visual-dialogs/{dialog}")).status_code == 204
    for path in (f"/visual-dialogs/{dialog}", f"/visual-dialogs/{dialog}/picture", f"/visual-dialogs/{NOBODY}"):
        assert (await seeing.get(path)).status_code == 404
    assert (await seeing.delete(f"/visual-dialogs/{dialog}")).status_code == 404
    assert await storage.do(lambda db: visual_table.rounds(db, dialog), writes=False) == []


async def test_without_a_model_it_says_what_is_missing(client: httpx.AsyncClient) -> None:
    for response in (
        await client.post("/visual-dialogs", files={"picture": encoded()}),
        await client.post("/visual-answers", files={"picture": encoded()}, data={"question": "what?"}),
    ):
        assert (response.status_code, response.json()["type"]) == (503, "urn:rapport:problem:model-missing")
        assert "visual/none" in response.json()["detail"]
    assert (await client.get("/labels")).status_code == 200


async def test_a_folder_of_ones_own_that_is_missing_keeps_its_path(
    make_api: Callable[..., Any], config: AppConfig, tmp_path: Path
) -> None:
    visual = config.visual.model_copy(update={"engine": str(tmp_path / "secret" / "mine")})
    viewer = LocalViewer(Pictures(config.model_copy(update={"visual": visual})))
    async with client_of(make_api(viewer=viewer)) as client:
        response = await client.post("/visual-dialogs", files={"picture": encoded()})
    assert (response.status_code, "mine" in response.text, "secret" in response.text) == (503, True, False)


async def test_a_service_behind_that_is_silent_is_told(
    make_api: Callable[..., Any], viewer: LocalViewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(asked: Any) -> Any:
        return replace(await LocalViewer.ask(viewer, asked), silent=True)

    async with client_of(make_api(viewer=viewer)) as client:
        dialog = (await show(client))["id"]
        monkeypatch.setattr(viewer, "ask", silent)
        response = await client.post(f"/visual-dialogs/{dialog}/questions", json={"question": "what?"})
        assert (response.status_code, response.json()["type"]) == (503, "urn:rapport:problem:unavailable")
        assert (await client.get(f"/visual-dialogs/{dialog}")).json()["total"] == 0
