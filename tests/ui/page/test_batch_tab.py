from pathlib import Path

import pytest

from serve.client import ServiceError
from tests.ui.fake import MemoryClient
from ui.page.batch_tab import BatchesState, begin, delete, look, restore
from ui.page.drawing import render


@pytest.fixture
def client() -> MemoryClient:
    return MemoryClient()


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "chat.txt"
    path.write_text("Ann: great\n" * 100)
    return str(path)


def begun(log: str, client: MemoryClient, state: BatchesState | None = None, to: str = "csv") -> BatchesState:
    return begin(state or BatchesState(), log, input_format="auto", to=to, anonymise=False, client=client)


def shown(state: BatchesState) -> str:
    return str(render.batches(state.batches, known=state.known, asked=state.asked))


def test_a_batch_waits_runs_and_is_done(log: str, client: MemoryClient) -> None:
    client.pace = 0
    state = begun(log, client)
    assert state.waiting
    assert "Waiting; it is the next." in shown(state)
    assert not Path(log).exists()
    client.pace = 0.5
    state = look(look(state, client), client)
    assert "50 messages of 1 conversation so far, 50 % of the log." in shown(state)
    assert 'value="50"' in shown(state)
    state = look(state, client)
    assert not state.waiting
    assert "Done: 100 messages of 1 conversation." in shown(state)
    assert f'href="v1/batches/{state.batches[0].id}/output"' in shown(state)


def test_a_table_is_read_by_the_columns_it_is_said_to_have(log: str, client: MemoryClient) -> None:
    columns = {"text": " Comment Body ", "speaker": ""}
    begin(BatchesState(), log, input_format="csv", to="csv", anonymise=False, client=client, columns=columns)
    assert client.named["columns"] == {"text": "Comment Body"}


def test_before_the_first_batch_the_tab_says_so(client: MemoryClient) -> None:
    assert "No batch yet" in shown(restore(None, client))
    assert "No batch yet" not in shown(BatchesState())


def test_a_log_that_cannot_be_read_says_why(tmp_path: Path, client: MemoryClient) -> None:
    path = tmp_path / "a.bin"
    path.write_text("unreadable")
    state = look(look(begun(str(path), client), client), client)
    assert "Failed: this is binary data, not text." in shown(state)
    assert "Download" not in shown(state)


def test_a_log_that_is_too_large_is_refused_with_what_to_do(log: str, client: MemoryClient) -> None:
    client.limit["log_bytes"] = 100
    state = begun(log, client)
    assert "too large for the page" in state.notice
    assert "rapport annotate" in state.notice
    assert client.kept == {}
    assert not Path(log).exists()


def test_an_empty_file_is_refused(tmp_path: Path, client: MemoryClient) -> None:
    (tmp_path / "empty.txt").touch()
    assert "This file is empty" in begun(str(tmp_path / "empty.txt"), client).notice


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ServiceError(429, "overloaded", "", limit="batches_waiting"), "Many batches are waiting already"),
        (ServiceError(429, "overloaded", "", retry_after=3), "Very busy just now"),
        (ServiceError(507, "disk-full", "the disk is full"), "disk of the service is full"),
        (ServiceError(0, "unreachable", "nobody there"), "does not answer"),
        (ServiceError(413, "too-large", "larger than 1 GB"), "too large"),
    ],
)
def test_what_the_service_refuses_is_told_and_the_list_stays(
    log: str, client: MemoryClient, error: ServiceError, said: str, tmp_path: Path
) -> None:
    state = begun(log, client)
    client.failing = error
    (tmp_path / "other.txt").write_text("a: b")
    after = begun(str(tmp_path / "other.txt"), client, state)
    assert said in after.notice
    assert after.batches == state.batches
    assert after.own == state.own


def test_deleting_is_asked_for_twice_and_forgets(log: str, client: MemoryClient) -> None:
    state = begun(log, client)
    (batch,) = state.batches
    asked = BatchesState(own=state.own, batches=state.batches, asked=batch.id, known=True)
    assert "Stop and delete it?" in shown(asked)
    after = delete(asked, batch.id, client)
    assert (after.batches, after.own, after.asked, after.notice) == ((), (), None, "")
    assert delete(asked, batch.id, client).notice == ""  # somebody else was faster


def test_where_the_service_lists_nothing_a_browser_sees_its_own(log: str, client: MemoryClient) -> None:
    state = begun(log, client)
    client.lists = False
    assert [b.id for b in look(state, client).batches] == list(state.own)
    assert [b.id for b in restore([*state.own, "gone", 3], client).batches] == list(state.own)
    assert restore({"a": 1}, client).batches == ()


def test_file_names_and_faults_are_escaped(tmp_path: Path, client: MemoryClient) -> None:
    path = tmp_path / "<script>alert(1)<.txt"
    path.write_text("broken\n" * 10)
    state = look(look(look(begun(str(path), client), client), client), client)
    assert "<script>" not in shown(state)
    assert "no name &lt;b&gt;before" in shown(state)
