import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dialog.conversation import Cause, Conversation
from serve.client import EmotionsAnswer, ServiceError
from tests.ui.fake import MemoryClient
from ui.page.conversation.log import LARGEST_LOG, Log, TooLarge, header_of, read_log
from ui.page.conversation.run import batch_of, begin, cancel, follow, run
from ui.page.conversation.state import EXAMPLE, TabState, correct, save, select, shown_conversation, taken


@pytest.fixture
def client() -> MemoryClient:
    return MemoryClient()


def labelled(data: str | bytes, client: MemoryClient, filename: str = "", format: str = "auto") -> TabState:
    *_, state = run(data.encode() if isinstance(data, str) else data, filename=filename, format=format, client=client)
    return state


def transcript(n: int, text: str = "great") -> str:
    return "".join(f"{'Ann' if i % 2 else 'Bo'}: {text} {i}\n" for i in range(n))


def test_the_example_is_labelled(client: MemoryClient) -> None:
    state = labelled(EXAMPLE, client)
    overview, plot, table, _ = shown_conversation(state)
    assert state.done
    assert "<b>12</b> messages, <b>2</b> speakers" in overview
    assert "<svg" in plot
    assert table.count("<tr") == 13
    assert state.model_version == "emotion/ekman@1"


def test_the_page_says_how_far_it_is(client: MemoryClient) -> None:
    log = "\n".join(json.dumps({"id": str(i), "utterances": [{"speaker": "a", "text": "hi"}] * 800}) for i in range(6))
    states = list(run(log.encode(), filename="a.jsonl", format="auto", client=client))
    assert [s.done for s in states] == [False, False, False, True]
    assert 'value="33"' in states[1].notices
    assert [len(r) for r in client.requests] == [2, 2, 2]


def test_lines_that_cannot_be_read_are_listed_with_their_numbers(client: MemoryClient) -> None:
    good = json.dumps({"id": "a", "utterances": [{"speaker": "Ann", "text": "great!"}]})
    state = labelled(f"{good}\n{{broken\n{good}\n", client, "log.jsonl")
    assert len(state.log.conversations) == 2
    assert "1 line could not be read" in state.notices
    assert 'value="2"' in state.notices
    assert save(state, "jsonl")[1].count("\n") == 3, "output lines match input lines"


def test_where_no_batch_can_be_made_a_long_conversation_is_read_from_its_end_and_says_so(client: MemoryClient) -> None:
    client.limit["log_bytes"] = 1_000
    state = labelled(transcript(2000 + 300), client, "my chat.txt")
    assert len(client.requests[0][0].utterances) == 2000
    whole = state.log.conversations[0]
    assert len(whole.utterances) == 2000 + 300
    assert [u.prediction is None for u in whole.utterances] == [True] * 300 + [False] * 2000
    assert "only the last 2,000 of 2,300 messages" in state.notices
    assert "rapport annotate &#39;my chat.txt&#39;" in state.notices
    assert "<td>301</td>" in shown_conversation(state)[2]


class Blaming(MemoryClient):
    """A service to which the first message it was sent caused every emotion."""

    def emotions(self, conversations: Any, **options: Any) -> EmotionsAnswer:
        answer = super().emotions(conversations, **options)
        cause = Cause(utterance=0, start=None, end=None, span=None, probability=0.9)
        blamed = []
        for c in answer.conversations:
            predictions = [replace(u.prediction, causes=(cause,)) for u in c.utterances if u.prediction]
            blamed.append(c.with_predictions(predictions))
        return replace(answer, conversations=tuple(blamed))


def test_causes_in_a_long_conversation_are_counted_in_all_of_it() -> None:
    client = Blaming()
    client.limit["log_bytes"] = 1_000
    state = labelled(transcript(2000 + 300), client)
    last = state.log.conversations[0].utterances[-1].prediction
    assert last is not None
    assert [c.utterance for c in last.causes] == [300]
    table = shown_conversation(replace(state, leaf=3))[2]
    assert "because of message 301, Bo: “great 300”" in table


def test_a_message_whose_causes_are_marked_is_chosen_by_its_number() -> None:
    state = labelled("Ann: great\nBo: great news\n", Blaming())
    assert "a cause of" not in shown_conversation(state)[2]
    table = shown_conversation(replace(state, selected=1))[2]
    assert table.count("a cause of the emotion of message 2, 90 %") == 1
    assert table.count("rp-selected") == 1


def many_messages() -> bytes:
    line = json.dumps({"utterances": [{"speaker": "a", "text": "b"}] * 1500})
    return "\n".join([line] * 8).encode()


@pytest.mark.parametrize("data", [b"x" * (LARGEST_LOG + 1), many_messages()], ids=["bytes", "messages"])
def test_a_log_that_is_too_large_is_refused_with_a_way_out(
    data: bytes, client: MemoryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.page.conversation.log.MOST_UTTERANCES", 10_000)
    state = labelled(data, client, "big.jsonl")
    assert not state.done
    assert "too large" in state.notices
    assert "rapport annotate big.jsonl" in state.notices
    assert client.requests == []
    with pytest.raises(TooLarge, match=f"{LARGEST_LOG // 1024**2} MB|10,000"):
        read_log(data, filename="big.jsonl")


def test_an_enormous_message_is_read_in_part_and_kept_whole(client: MemoryClient) -> None:
    text = "great " * 4000
    state = labelled(f"Ann: {text}\nBo: hi\n", client)
    assert len(client.requests[0][0].utterances[0].text) == 4000
    assert state.log.conversations[0].utterances[0].text == text.strip()
    assert f"first {4000:,} characters" in state.notices


@pytest.mark.parametrize("data", ["", "  \n ", "\x00\x01\x02", "[]", "no name here", "{}"])
def test_what_is_no_log_is_refused_in_words(data: str, client: MemoryClient) -> None:
    state = labelled(data, client)
    assert not state.done
    assert "rp-notice" in state.notices
    assert client.requests == []
    assert shown_conversation(state) == ("", "", "", "")
    assert save(state, "jsonl") == ("", "")


def test_a_busy_service_is_told_and_nothing_is_shown(client: MemoryClient) -> None:
    client.failing = ServiceError(429, "overloaded", "full", retry_after=2)
    state = labelled(EXAMPLE, client)
    assert not state.done
    assert "busy" in state.notices


def test_one_conversation_that_fails_leaves_the_others(client: MemoryClient) -> None:
    log = "\n".join(json.dumps({"id": t, "utterances": [{"speaker": "a", "text": t}]}) for t in ("poison", "great"))
    state = labelled(log, client, "a.jsonl")
    assert "poison: this text is poison" in state.notices
    lines = [json.loads(line) for line in save(state, "jsonl")[1].splitlines()]
    assert lines[0]["error"] == "this text is poison"
    assert lines[1]["utterances"][0]["prediction"]["emotion"] == "joy"


def test_downloads_have_every_field_that_came_in_and_name_the_mode(client: MemoryClient) -> None:
    log = json.dumps({"id": "a", "topic": "work", "utterances": [{"speaker": "A", "text": "great!", "mood": 3}]})
    state = labelled(log, client, "log.jsonl")
    name, text = save(state, "jsonl")
    line = json.loads(text)
    assert name == "log-emotions.jsonl"
    assert line["topic"] == "work"
    assert line["utterances"][0]["mood"] == 3
    assert line["mode"] == "offline"
    assert line["model_version"] == "emotion/ekman@1"
    assert "mood" not in client.requests[0][0].utterances[0].extra, "the service need not see it"


def test_a_csv_cannot_run_formulas_and_a_report_is_one_page(client: MemoryClient) -> None:
    state = labelled("Ann: =1+1\nBo: great!\n", client, "chat.txt")
    name, csv = save(state, "csv")
    assert name == "chat-emotions.csv"
    assert ",=1+1" not in csv
    name, html = save(state, "html")
    assert name == "chat-emotions.html"
    assert html.lower().startswith("<!doctype html")
    assert "great!" in html


@pytest.mark.parametrize("only", [{"only": "anger"}, {"query": "HATE"}, {"person": "Bo", "only": "anger"}])
def test_a_filter_hides_what_is_not_asked_for(only: dict[str, str], client: MemoryClient) -> None:
    table = shown_conversation(replace(labelled(EXAMPLE, client), **only))[2]
    assert table.count("<tr data-n=") == 1
    assert "I hate that you never told me" in table
    assert "11 messages hidden" in table


def test_a_label_that_a_person_gives_leads_everywhere(client: MemoryClient) -> None:
    log = json.dumps({"id": "a", "utterances": [{"speaker": "A", "text": "great!", "emotion": "neutral"}]})
    state = correct(replace(labelled(log, client, "log.jsonl"), selected=0), 0, "fear")
    overview, plot, table, details = shown_conversation(state)
    for shown in (overview, plot, table, details):
        assert "#rp-g-fear" in shown
    assert "by hand" in table
    said = json.loads(save(state, "jsonl")[1])["utterances"][0]
    assert (said["emotion"], said["given_emotion"], said["prediction"]["emotion"]) == ("fear", "neutral", "joy")
    back = json.loads(save(correct(state, 0, None), "jsonl")[1])["utterances"][0]
    assert back["emotion"] == "neutral"


def test_details_of_a_message_offer_every_label(client: MemoryClient) -> None:
    details = shown_conversation(replace(labelled(EXAMPLE, client), selected=0))[3]
    assert details.count('data-do="correct"') == 7
    assert 'data-do="close"' in details


def test_an_overview_says_where_the_mood_turns(client: MemoryClient) -> None:
    log = "".join(f"Ann: {text}\n" for text in ["that is wonderful!"] * 5 + ["this is terrible!"] * 5)
    overview = shown_conversation(labelled(log, client))[0]
    assert "Turning points" in overview
    assert "Message 6</button> darker from here" in overview


TABLE = "who wrote;what they wrote;when it was\nAnn;great news!;1\nBo;I hate it;2\n"


def test_a_table_whose_columns_nobody_knows_is_asked_about_and_read_so(client: MemoryClient) -> None:
    state = labelled(TABLE, client, "table.csv", "csv")
    assert not state.done
    assert state.columns == ("who wrote", "what they wrote", "when it was")
    named = {"text": "what they wrote", "speaker": "who wrote"}
    *_, state = run(state.data, filename=state.filename, format="csv", client=client, columns=named)
    assert state.done
    assert [(u.speaker, u.text) for u in state.conversation.utterances] == [("Ann", "great news!"), ("Bo", "I hate it")]


@pytest.mark.parametrize(
    ("data", "names"),
    [(b"a,b\n1,2", ("a", "b")), (b'\xef\xbb\xbf\n"x, y"\tb\tc\n', ("x, y", "b", "c")), (b"just words", ()), (b"", ())],
)
def test_a_header_names_the_columns(data: bytes, names: tuple[str, ...]) -> None:
    assert header_of(data) == names


def test_an_upload_is_deleted_once_it_is_read(tmp_path: Path) -> None:
    upload = tmp_path / "chat.txt"
    upload.write_text("Ann: hi", encoding="utf-8")
    assert taken(str(upload)) == (b"Ann: hi", "chat.txt")
    assert not upload.exists()


def test_an_empty_conversation_among_others_is_no_problem(client: MemoryClient) -> None:
    log = '{"id": "e", "utterances": []}\n{"id": "a", "utterances": [{"speaker": "A", "text": "great"}]}'
    state = labelled(log, client, "log.jsonl")
    assert state.chosen == 1
    assert [isinstance(item, Conversation) for item in state.log.items] == [True, True]
    assert Log().conversations == ()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.page.conversation.run._LOOK_SECONDS", 0.0)


@pytest.mark.usefixtures("quick")
def test_a_long_conversation_is_labelled_whole_as_a_batch_and_found_again(client: MemoryClient) -> None:
    client.pace = 0.25
    data = transcript(2000 + 300).encode()
    *before, state = list(run(data, filename="my chat.txt", format="plain", client=client))
    working = [s for s in before if s.key]
    assert len({s.notices for s in working}) > 3, "it says how far it is"
    assert all(s.working and batch_of(s.key) in client.kept for s in working)
    assert [u.prediction is None for u in state.log.conversations[0].utterances] == [False] * 2300
    assert state.done
    assert state.log.name == "my chat"
    # A reload, or a service that was started anew: all there is is the address.
    *_, again = follow(state.key, client)
    assert again == state
    cancel(state.key, client)
    (gone,) = follow(state.key, client)
    assert "This log was deleted." in gone.notices
    cancel(state.key, client)


@pytest.mark.usefixtures("quick")
def test_a_service_that_is_started_anew_in_the_middle_is_waited_for(client: MemoryClient) -> None:
    key = begin(transcript(2300).encode(), filename="", format="plain", client=client)
    states = follow(key, client)
    assert next(states).working
    client.failing = ServiceError(0, "unreachable", "nobody there")
    missed = iter(range(3))

    def back(_: float) -> None:
        if next(missed, None) is None:
            client.failing = None

    *_, last = follow(key, client, pause=back)
    assert last.done


@pytest.mark.usefixtures("quick")
def test_what_is_said_of_a_long_table_reaches_the_batch(client: MemoryClient) -> None:
    rows = "".join(f"{'Ann' if i % 2 else 'Bo'};schön {i}\n" for i in range(2300))
    columns = {"text": "Body", "speaker": "From"}
    data = f"From;Body\n{rows}".encode("cp850")
    *_, state = run(data, filename="a.csv", format="auto", client=client, columns=columns, encoding="cp850")
    assert client.named == {"columns": columns, "encoding": "cp850"}
    assert state.log.conversations[0].utterances[1].text == "schön 1"


def test_a_log_whose_encoding_is_not_plain_is_asked_about(client: MemoryClient) -> None:
    text = "Анна: я так рада сегодня\nБорис: а мне очень грустно\n" * 5
    asked = labelled(text.encode("cp1251"), client)
    assert not asked.done
    assert "cp1251" in asked.encodings[:3]
    assert "Say below what it is written in." in asked.notices
    *_, read = run(asked.data, filename=asked.filename, format=asked.format, client=client, encoding="cp1251")
    assert read.log.conversations[0].utterances[0].text == "я так рада сегодня"
    *_, wrong = run(asked.data, filename="", format="auto", client=client, encoding="klingon")
    assert "unknown encoding &#39;klingon&#39;" in wrong.notices


def test_a_long_log_is_shown_in_leaves_and_a_chosen_message_on_its_own(client: MemoryClient) -> None:
    state = labelled(transcript(1_200), client)
    table = shown_conversation(state)[2]
    assert table.count("<tr data-n") == 500
    assert "Messages 1 to 500 of 1,200, part 1 of 3" in table
    chosen = select(state, 1_100)
    table = shown_conversation(chosen)[2]
    assert "Messages 1,001 to 1,200" in table
    assert "rp-selected" in table
    assert "Messages 1,001 to 1,200" in shown_conversation(replace(state, leaf=99))[2]
    found = shown_conversation(replace(chosen, query="great 7"))[2]
    assert "rp-leaves" not in found


@pytest.mark.parametrize(
    ("data", "filename", "said"),
    [
        (b"", "", "Paste a conversation or upload a file first."),
        (b" \n", "empty.txt", "There is nothing in empty.txt."),
        (bytes(range(256)) * 50, "chat.txt", "This is binary data, not text."),
    ],
)
def test_what_holds_no_message_says_why(data: bytes, filename: str, said: str, client: MemoryClient) -> None:
    [state] = run(data, filename=filename, format="auto", client=client)  # type: ignore[arg-type]
    assert said in state.notices
    assert "Everything else was" not in state.notices
