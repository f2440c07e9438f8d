"""What has had its time is gone, and nothing else is."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from serve.batches import table as batch_table
from serve.batches.worker import folder_of
from serve.config import KeepConfig
from serve.database.tables import batches as batch_rows
from serve.database.tables import recordings as recording_rows
from serve.pictures import table as visual_table
from serve.retention import Retention
from serve.speech import table as recordings_table
from serve.speech.worker import folder_of as folder_of_recordings
from serve.storage import Storage, StoredChat, StoredMessage

MARK = "an unmistakable marker"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
OLD, YOUNG = "2026-02-01T00:00:00Z", "2026-02-28T00:00:00Z"


def chat(name: str, created: str, touched: str = "") -> StoredChat:
    return StoredChat(
        id=name, created=created, model="m", labels=("joy",), total=0, model_version="m@1", touched=touched
    )


def everywhere(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_chats_pictures_and_logs_end_after_their_last_use(storage: Storage) -> None:
    for kept in (chat("old", OLD), chat("young", YOUNG), chat("used", OLD, YOUNG)):
        await storage.add_chat(kept)
    for name, touched in (("old", ""), ("asked", YOUNG)):
        await storage.do(lambda db, name=name, touched=touched: visual_table.add(db, _dialog(name, touched)))
    batches = {name: batch_table.new(name, "auto", "jsonl", "m", False, 1) for name in ("done", "fresh", "waiting")}
    for name, batch in batches.items():
        (folder_of(storage) / batch.id).mkdir(parents=True)
        (folder_of(storage) / batch.id / "out.jsonl").write_text(MARK)
        await storage.do(lambda db, batch=batch: batch_table.add(db, batch, 9))
        if name != "waiting":
            finished = OLD if name == "done" else YOUNG
            ended = update(batch_rows).where(batch_rows.c.id == batch.id).values(state="done", finished=finished)
            await storage.do(lambda db, ended=ended: db.execute(ended))
    forever = Retention(storage, KeepConfig(), lambda: NOW)
    assert set(forever.sweep().values()) == {0}
    sweeper = Retention(storage, KeepConfig(chat_days=7, picture_days=7, batch_days=7), lambda: NOW)
    assert sweeper.sweep() == {"chats": 1, "visual_dialogs": 1, "batches": 1, "recordings": 0, "units": 0}
    assert [await storage.chat(name) is not None for name in ("old", "young", "used")] == [False, True, True]
    assert await storage.do(lambda db: visual_table.get(db, "asked"), writes=False) is not None
    assert {p.name for p in folder_of(storage).iterdir()} == {batches["fresh"].id, batches["waiting"].id}
    assert set(sweeper.sweep().values()) == {0}


@pytest.mark.parametrize("how", ["deleted", "expired"])
async def test_of_what_is_gone_no_word_is_left(tmp_path: Path, how: str) -> None:
    storage = Storage(tmp_path / "a.sqlite")
    begun = chat("c", OLD)
    await storage.add_chat(begun)
    for n in range(20):
        said = StoredMessage(n=n, speaker="Ann", text=f"{MARK} {n}")
        known = replace(begun, total=n, state=MARK.encode() if n else None)
        assert await storage.append(known, said, MARK.encode(), "m@1")
    assert MARK.encode() in everywhere(tmp_path)
    if how == "deleted":
        assert await storage.delete_chat("c")
    else:
        later = datetime.now(UTC).replace(year=datetime.now(UTC).year + 1)
        Retention(storage, KeepConfig(chat_days=1), lambda: later).sweep()
    assert await storage.chat("c") is None
    assert MARK.encode() not in everywhere(tmp_path)
    storage.close()


def _dialog(name: str, touched: str) -> visual_table.StoredDialog:
    return visual_table.StoredDialog(
        id=name,
        created=OLD,
        picture=b"",
        caption=MARK,
        look={},
        total=0,
        model_version="v@1",
        state=b"",
        touched=touched,
    )


async def test_recordings_end_after_their_last_change_with_their_sound(storage: Storage) -> None:
    kept = {}
    for name, touched in (("old", OLD), ("young", YOUNG), ("waiting", OLD)):
        kept[name] = recording = recordings_table.new(f"{name}.wav", 1, model="m", recogniser="r")
        await storage.do(lambda db, recording=recording: recordings_table.add(db, recording, 9))
        folder = folder_of_recordings(storage) / recording.id
        folder.mkdir(parents=True)
        (folder / "sound.wav").write_text(MARK)
        state = "queued" if name == "waiting" else "done"
        told = update(recording_rows).where(recording_rows.c.id == recording.id).values(state=state, touched=touched)
        await storage.do(lambda db, told=told: db.execute(told))
    assert Retention(storage, KeepConfig(recording_days=7), lambda: NOW).sweep()["recordings"] == 1
    assert {p.name for p in folder_of_recordings(storage).iterdir()} == {kept["young"].id, kept["waiting"].id}
