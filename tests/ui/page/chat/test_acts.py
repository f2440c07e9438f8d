import pytest

from serve.client import ServiceError
from tests.ui.fake import MemoryClient
from ui.page.chat import acts as chat_acts
from ui.page.chat.acts import Said, TooLong, bring_back, edit, forget, remove, rename, say

BUSY = ServiceError(503, "unavailable", "the models are starting", retry_after=2)


@pytest.fixture
def client() -> MemoryClient:
    return MemoryClient()


def talk(client: MemoryClient, *texts: str) -> str:
    chat = None
    for i, text in enumerate(texts):
        chat, _ = say(chat, Said(speaker="Bo" if i % 2 else "Ann", text=text, time=f"t{i}"), client)
    assert chat is not None
    return chat


def texts(client: MemoryClient, chat: str | None) -> list[str]:
    return [m.text for m in client.chats[str(chat)].messages]


def test_the_first_message_begins_a_chat_and_the_next_goes_on_with_it(client: MemoryClient) -> None:
    chat = talk(client, "I got the job!!", "great")
    assert texts(client, chat) == ["I got the job!!", "great"]
    assert len(client.chats) == 1


def test_a_message_sent_again_is_not_said_twice(client: MemoryClient) -> None:
    chat = talk(client, "hi", "hello")
    same, message = say(chat, Said(speaker="Bo", text="hello", time="t1"), client, again=True)
    assert (same, message.n) == (chat, 1)
    _, message = say(chat, Said(speaker="Bo", text="hello", time="t9"), client, again=True)
    assert message.n == 2, "another time, so it was said twice"


def test_an_edit_reads_again_and_keeps_the_other_corrections(client: MemoryClient) -> None:
    chat = talk(client, "hi", "I am leaving", "ok")
    client.correct(chat, 0, "joy")
    client.correct(chat, 1, "fear")
    changed = edit(chat, 1, " I am staying, great ", client)
    assert changed.chat is not None
    after = client.chats[changed.chat].messages
    assert [m.text for m in after] == ["hi", "I am staying, great", "ok"]
    assert [m.correction for m in after] == ["joy", None, None]
    assert [m.time for m in after] == ["t0", "t1", "t2"]
    assert list(client.chats) == [chat] == [changed.chat], "another window still has it"


def test_what_was_changed_is_brought_back_whole(client: MemoryClient) -> None:
    chat = talk(client, "hi", "hello", "ok")
    client.correct(chat, 2, "fear")
    changed = remove(chat, 1, client)
    assert texts(client, changed.chat) == ["hi", "ok"]
    back = bring_back(changed.before, changed.chat, client)
    assert texts(client, back.chat) == ["hi", "hello", "ok"]
    assert client.chats[str(back.chat)].messages[2].correction == "fear"
    assert len(client.chats) == 1


def test_a_deleted_chat_is_gone_at_once_and_can_be_said_again(client: MemoryClient) -> None:
    before = forget(talk(client, "hi", "hello"), client)
    assert client.chats == {}
    assert texts(client, bring_back(before, None, client).chat) == ["hi", "hello"]


def test_a_chat_without_messages_is_no_chat(client: MemoryClient) -> None:
    assert remove(talk(client, "hi"), 0, client).chat is None
    assert client.chats == {}


def test_two_names_become_one_person(client: MemoryClient) -> None:
    changed = rename(talk(client, "hi", "hello", "ok"), "Bo", "Ann", client)
    assert {m.speaker for m in client.chats[str(changed.chat)].messages} == {"Ann"}


def test_what_another_window_has_changed_meanwhile_is_not_changed_unseen(
    client: MemoryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = talk(client, "hi", "hello", "ok")
    whole = chat_acts._whole

    def then_somebody_speaks(chat: str, client: MemoryClient) -> list[Said]:
        before = whole(chat, client)  # type: ignore[arg-type]
        client.add_message(chat, "Bo", "wait")
        return before

    monkeypatch.setattr(chat_acts, "_whole", then_somebody_speaks)
    with pytest.raises(ServiceError) as caught:
        remove(chat, 1, client)
    assert caught.value.kind == "chat-changed"
    assert texts(client, chat) == ["hi", "hello", "ok", "wait"]


def test_a_chat_that_cannot_be_brought_back_leaves_none_behind(
    client: MemoryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = forget(talk(client, "hi", "hello"), client)

    def busy(*_: object, **__: object) -> None:
        raise BUSY

    monkeypatch.setattr(client, "rewrite_chat", busy)
    with pytest.raises(ServiceError):
        bring_back(before, None, client)
    assert client.chats == {}


def test_a_very_long_chat_is_not_read_again(client: MemoryClient) -> None:
    client.limit["messages_reread"] = 2
    chat = talk(client, "a", "b", "c")
    with pytest.raises(TooLong, match="has 3 messages; one of up to 2"):
        remove(chat, 0, client)
    assert texts(client, chat) == ["a", "b", "c"]
    assert forget(chat, client) == (), "deleted all the same, but it cannot come back"
    assert client.chats == {}


def test_warnings_of_messages_read_again_are_told_again(client: MemoryClient) -> None:
    changed = edit(talk(client, "hi", "hello"), 0, "größer", client)
    assert list(changed.warnings) == [0]
