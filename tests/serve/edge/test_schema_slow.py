"""The whole service against its document, on a real socket: whatever is sent, with a key and where none is asked for,
no 5xx and nothing undeclared."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance, unsupported_method

from serve.edge.door import SECRET_VARIABLE
from serve.edge.keys import Keys, new_key
from serve.edge.openapi import PROBES
from tests.dialog.tiny_visual import make_visual
from tests.serve.edge.test_over_http import Served

pytestmark = pytest.mark.slow
KEY, KEPT = new_key("ann")
SIGNED = {"Authorization": f"Bearer {KEY}"}
EXAMPLES = 10
"""Requests made for each operation, by the document and against it."""
CHOOSY = (
    *("/emotions", "/chats", "/batches", "/recordings", "/visual-dialogs", "/visual-answers", "/telemetry"),
    *("/chat/completions", "/chats/{chat_id}/replies", "/corrections"),
)
"""What is a label of a chat, a picture, a host that may be called or a responder no document can say; and that 0.0 is
no whole number to us."""


@pytest.fixture(scope="module", params=["with a key", "without"])
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, bool]]:
    eyes: Path = make_visual(tmp_path_factory.mktemp("eyes"), familiar=True)
    locked = request.param == "with a key"
    keys = Keys(keys=(KEPT,), required=True) if locked else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            SECRET_VARIABLE, "s" * 32
        )  # by which the inner door knows that the outer one has asked for the key
        # A model whose weights are gone is 503, as it should be, and here it would be taken for a fault.
        whole = "tests.serve.fake:whole"
        served = Served(tmp_path_factory.mktemp("schema"), engine=str(eyes), keys=keys, catalogue=whole)
        while served.client.get("/health/ready").status_code != 200:
            time.sleep(0.1)
        yield served, locked
        served.stop()


def operations(served: Served, locked: bool) -> list[APIOperation[Any, Any, Any, Any]]:
    url = f"http://127.0.0.1:{served.port}/v1/openapi.json"
    schema = schemathesis.openapi.from_url(url, headers=SIGNED if locked else {})
    return [found.ok() for found in schema.get_all_operations()]


def test_every_answer_is_one_that_is_declared(asked: tuple[Served, bool]) -> None:
    served, locked = asked
    all_of_them = operations(served, locked)
    assert len(all_of_them) > 20
    faults = {o.label: fault_of(o, SIGNED if locked else {}) for o in all_of_them}
    found = [f"{label}: {fault}" for label, fault in faults.items() if fault]
    assert not found, "\n".join(found)


def fault_of(operation: APIOperation[Any, Any, Any, Any], headers: dict[str, str]) -> str:
    """What is wrong with the answers of an operation, in words; none where nothing is."""
    cases = st.one_of(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)
    # Whether the key that is sent is asked for the other test sees to, and of methods test_openapi knows more.
    left = [ignored_auth, unsupported_method]
    if operation.path in CHOOSY or operation.method == "put" or operation.path.endswith(("/output", "/questions")):
        left.append(positive_data_acceptance)

    @settings(max_examples=EXAMPLES, derandomize=True, suppress_health_check=list(HealthCheck), deadline=None)
    @given(case=cases)
    def holds(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=headers, excluded_checks=left)

    try:
        holds()
    except (Exception, BaseExceptionGroup) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def test_nothing_but_probes_answers_without_the_key(asked: tuple[Served, bool]) -> None:
    served, locked = asked
    with httpx.Client(base_url=f"http://127.0.0.1:{served.port}/v1", timeout=60) as client:
        for operation in operations(served, locked):
            path = operation.path.replace("{n}", "0")
            for name in ("{chat_id}", "{batch_id}", "{dialog_id}", "{recording_id}"):
                path = path.replace(name, "0" * 32)
            answer = client.request(operation.method, path)
            assert (answer.status_code == 401) == (locked and operation.path not in PROBES), operation.label
