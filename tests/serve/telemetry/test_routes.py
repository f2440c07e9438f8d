"""/v1/telemetry, through the whole app but for Ray, with a small real model."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from serve.client import Client, ServiceError
from serve.config import TelemetryConfig
from serve.edge.limits import Limits
from serve.telemetry.engine import Telemetry
from tests.dialog.telemetry.fleets import save_model
from tests.serve.conftest import client_of
from tests.serve.in_process import InProcess


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("fleet"))


@pytest.fixture
def telemetry(model: Path) -> Telemetry:
    return Telemetry(TelemetryConfig(model=str(model)))


@pytest.fixture
async def service(make_api: Callable[..., Any], telemetry: Telemetry) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(make_api(telemetry=telemetry)) as client:
        yield client


def samples(n: int = 60, climb: float = 0.17) -> dict[str, Any]:
    random = np.random.default_rng(0)
    current = 1 + np.linspace(0, climb, n) + 0.001 * random.normal(size=n)
    values = [[round(float(c), 5), 25.0] for c in current]
    return {"times": [5.0 * i for i in range(n)], "values": values}


async def test_the_model_says_what_it_wants(service: httpx.AsyncClient) -> None:
    told = (await service.get("/telemetry")).json()
    assert (told["channels"], told["time_unit"], told["life_by"]) == (["current", "temperature"], "h", "linear")
    assert told["limit"] == {"channel": "current", "value": 1.2, "relative": True, "above": True}
    assert told["model"] == "telemetry"  # the path of a folder is nobody's business


async def test_a_fleet_is_looked_at_the_worst_first_and_nothing_is_kept(service: httpx.AsyncClient) -> None:
    body = {"units": [{"unit": "well", **samples(climb=0)}, {"unit": "ill", **samples()}], "history": True}
    told = (await service.post("/telemetry", json=body)).json()
    assert [unit["unit"] for unit in told["units"]] == ["ill", "well"]
    assert told["units"][0]["standing"] == "alarm"
    assert told["units"][0]["outlook"]["left"] < told["units"][1]["outlook"]["left"]
    assert len(told["units"][0]["history"]["alarm"]) == 60
    assert (await service.get("/telemetry/units")).json()["units"] == []


async def test_samples_one_by_one_say_what_they_say_at_once(service: httpx.AsyncClient) -> None:
    whole = samples(20)
    for i in range(20):
        part = {name: whole[name][i : i + 1] for name in whole}
        response = await service.put("/telemetry/units/laser-7/samples", json=part)
        assert response.status_code == 200, response.text
    last = response.json()
    at_once = (await service.post("/telemetry", json={"units": [{"unit": "a", **whole}]})).json()["units"][0]
    assert last["samples"] == 20
    np.testing.assert_allclose(last["outlook"]["forecast"], at_once["outlook"]["forecast"], rtol=1e-3)
    assert (await service.get("/telemetry/units/laser-7")).json()["outlook"] == last["outlook"]
    again = (await service.put("/telemetry/units/laser-7/samples", json=part)).json()
    assert again["left_out"] == {"time not after the one before": 1}
    assert again["outlook"] == last["outlook"]
    listed = (await service.get("/telemetry/units")).json()["units"]
    assert [(unit["unit"], unit["samples"]) for unit in listed] == [("laser-7", 20)]
    assert (await service.delete("/telemetry/units/laser-7")).status_code == 204
    assert (await service.get("/telemetry/units/laser-7")).status_code == 404


async def test_requests_at_once_lose_no_sample(service: httpx.AsyncClient) -> None:
    """Those that come too late in time are left out and counted; every other one is read once."""
    whole = samples(8)
    parts = [{name: whole[name][i : i + 1] for name in whole} for i in range(8)]
    answers = await asyncio.gather(*(service.put("/telemetry/units/a/samples", json=part) for part in parts))
    assert {answer.status_code for answer in answers} <= {200, 429}
    told = [answer.json() for answer in answers if answer.status_code == 200]
    left_out = sum(sum(one["left_out"].values()) for one in told)
    assert (await service.get("/telemetry/units/a")).json()["samples"] == len(told) - left_out


async def test_channels_and_time_come_in_the_senders_words(service: httpx.AsyncClient) -> None:
    whole = samples(12)
    turned = {
        "times": [t / 24 for t in whole["times"]],
        "values": [[None, b, a] for a, b in whole["values"]],
        "channels": ["note", "temperature", "current"],
        "time_unit": "d",
    }
    one = (await service.put("/telemetry/units/a/samples", json=whole)).json()["outlook"]
    other = (await service.put("/telemetry/units/b/samples", json=turned)).json()["outlook"]
    np.testing.assert_allclose(one["forecast"], other["forecast"], rtol=1e-4)
    assert other["time"] == pytest.approx(55)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"times": [1, 2], "values": [[1, 2]]}, "/values"),
        ({"times": [1], "values": [[1, 2, 3]]}, "/values/0"),
        ({"times": [1], "values": [[1, "hot"]]}, "/values/0/1"),
        ({"times": [1], "values": [[1]], "channels": ["current"]}, "/channels"),
        ({"times": [1], "values": [[1, 2]], "time_unit": "cycle"}, "/time_unit"),
        ({"times": ["soon"], "values": [[1, 2]]}, "/times/0"),
        ({"times": [], "values": [], "unit": "a"}, "/unit"),
    ],
)
async def test_what_is_wrong_is_named_with_its_place(
    service: httpx.AsyncClient, body: dict[str, Any], place: str
) -> None:
    response = await service.put("/telemetry/units/a/samples", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == place
    assert (await service.get("/telemetry/units/a")).status_code == 404


async def test_limits_hold(make_api: Callable[..., Any], telemetry: Telemetry) -> None:
    limits = Limits(samples_per_request=10, units_kept=1)
    async with client_of(make_api(limits, telemetry=telemetry)) as client:
        many = await client.put("/telemetry/units/a/samples", json=samples(11))
        assert (many.status_code, many.json()["limit"]) == (422, "samples_per_request")
        assert (await client.put("/telemetry/units/a/samples", json=samples(2))).status_code == 200
        full = await client.put("/telemetry/units/b/samples", json=samples(2))
        assert (full.status_code, full.json()["limit"]) == (409, "units_kept")
        twice = [{"unit": "a", **samples(2)}] * 2
        assert (await client.post("/telemetry", json={"units": twice})).status_code == 422


async def test_without_a_model_it_is_said(make_api: Callable[..., Any], tmp_path: Path) -> None:
    async with client_of(make_api(telemetry=Telemetry(TelemetryConfig(model=str(tmp_path))))) as client:
        response = await client.post("/telemetry", json={"units": [{"unit": "a", **samples(2)}]})
        assert (response.status_code, response.json()["type"].rpartition(":")[2]) == (503, "model-missing")
        assert str(tmp_path) not in response.text


async def test_another_model_begins_a_unit_anew(make_api: Callable[..., Any], tmp_path: Path, model: Path) -> None:
    import torch

    from models.maintenance.model import MaintenanceModel

    other = MaintenanceModel.load(model)
    with torch.no_grad():
        next(iter(other.parameters())).add_(0.01)
    other.save(tmp_path / "other")
    for folder, n, anew in ((model, 3, False), (tmp_path / "other", 2, True)):
        async with client_of(make_api(telemetry=Telemetry(TelemetryConfig(model=str(folder))))) as client:
            told = (await client.put("/telemetry/units/a/samples", json=samples(n))).json()
            assert (told["samples"], told["begun_anew"]) == (n, anew)


def test_the_client_knows_every_call(make_api: Callable[..., Any], telemetry: Telemetry) -> None:
    with Client("http://test", transport=InProcess(make_api(telemetry=telemetry))) as client:
        assert client.fleet_model().channels == ("current", "temperature")
        whole = samples(10)
        fleet = client.look_at_fleet({"a": (whole["times"], whole["values"])}, history=True)
        assert fleet.units[0].history is not None
        put = client.put_samples("a", whole["times"], whole["values"])
        assert client.unit("a").outlook == put.outlook
        assert [unit.unit for unit in client.units()] == ["a"]
        client.delete_unit("a")
        with pytest.raises(ServiceError):
            client.unit("a")
