"""Whole logs: order kept, nothing spoilt by a neighbour, nothing lost to a kill."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dialog.annotation.annotate import AnnotationProgress, annotate, journal_of
from dialog.annotation.journal import BusyOutput, Journal, UnfinishedRun
from dialog.annotation.output import NoSpace
from dialog.conversation import Conversation, Prediction
from dialog.formats import Unreadable, read


class FakeTagger:
    """Everything is joy. Remembers its batches; fails on a text `boom`, and stops the run on a text `stop`."""

    version = "fake-1"

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def tag(self, conversations: Sequence[Conversation], *, mode: str = "offline") -> list[Conversation]:
        assert mode == "offline"
        self.batches.append([c.id for c in conversations])
        texts = [u.text for c in conversations for u in c.utterances]
        if "stop" in texts:
            raise KeyboardInterrupt
        if "boom" in texts:
            raise RuntimeError("it went boom")
        joy = Prediction(emotion="joy", probability=1.0, probabilities={"joy": 1.0}, sentiment="positive")
        return [c.with_predictions([joy] * len(c.utterances)) for c in conversations]


def line(id: str, *texts: str, **fields: Any) -> str:
    return json.dumps({"id": id, "utterances": [{"speaker": "A", "text": t} for t in texts or ("x",)], **fields})


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(line(str(i)) for i in range(10)) + "\n")
    return path


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text().splitlines()]


def test_output_lines_match_input_lines(tmp_path: Path) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "out.jsonl"
    log.write_text("\n".join([line("a", "x", "y", season=3), "{oops", line("b", "boom"), line("c"), '{"id":"d"}']))
    tagger = FakeTagger()
    summary = annotate([log], out, tagger=tagger)
    a, oops, b, c, d = lines_of(out)
    assert (a["id"], a["season"], a["mode"], a["model_version"]) == ("a", 3, "offline", "fake-1")
    assert [u["prediction"]["emotion"] for u in a["utterances"]] == ["joy", "joy"]
    assert (oops["id"], oops["line"]) == ("log-2", 2)
    assert oops["error"].startswith("line 2: not JSON")
    assert (b["id"], b["error"]) == ("b", "RuntimeError: it went boom")
    assert c["utterances"][0]["prediction"]["probabilities"] == {"joy": 1.0}
    assert d == {"id": "d", "error": "line 5: utterances: missing"}
    assert (summary.done, summary.failed, summary.skipped, summary.utterances) == (2, 3, 0, 3)
    assert [f.id for f in summary.failures] == ["log-2", "b", "d"]
    assert summary.exit_code == 2
    assert tagger.batches == [["a", "b", "c"], ["a"], ["b"], ["c"]]
    assert not journal_of(out).exists()


def test_a_tagger_that_loses_conversations_is_caught(log: Path, tmp_path: Path) -> None:
    class Loser(FakeTagger):
        def tag(self, conversations: Sequence[Conversation], *, mode: str = "offline") -> list[Conversation]:
            return super().tag(conversations, mode=mode)[1:]

    annotate([log], tmp_path / "out.jsonl", tagger=Loser())
    assert all("0 conversations back for 1" in item["error"] for item in lines_of(tmp_path / "out.jsonl"))


def test_conversations_are_tagged_together_by_their_utterances(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join([line("a", *"123"), line("b", *"12345678"), line("c"), line("d"), line("e", *"12345")]))
    tagger = FakeTagger()
    annotate([log], io.BytesIO(), tagger=tagger, batch_utterances=8)
    assert tagger.batches == [["a", "b"], ["c", "d", "e"]]


def test_any_formats_go_in_and_out(log: Path, tmp_path: Path) -> None:
    chat = tmp_path / "chat.txt"
    chat.write_text("31/12/2020, 21:41 - Ann: Hi\n31/12/2020, 21:42 - Bo: <Media omitted>\n")
    table = tmp_path / "table.csv"
    table.write_text("speaker,text\nAnn,=1+1\n")
    for to in ("csv", "html", "jsonl"):
        summary = annotate([chat, log, table], tmp_path / f"out.{to}", tagger=FakeTagger(), to=to)
        assert (summary.done, summary.exit_code) == (12, 0)
    assert [item["id"] for item in lines_of(tmp_path / "out.jsonl")] == ["chat-1", *map(str, range(10)), "table-1"]
    assert ",'=1+1," in (tmp_path / "out.csv").read_text()
    annotate([table], tmp_path / "out.csv", tagger=FakeTagger(), to="csv", options={"guard": False})
    assert ",=1+1," in (tmp_path / "out.csv").read_text()


def test_an_open_stream_is_written_at_the_end(log: Path) -> None:
    out = io.BytesIO()
    annotate([io.BytesIO(log.read_bytes())], out, tagger=FakeTagger())
    assert len(out.getvalue().splitlines()) == 10


def test_what_was_annotated_before_is_annotated_anew(tmp_path: Path) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "out.jsonl"
    log.write_text(line("a", error="RuntimeError: yesterday"))
    assert annotate([log], out, tagger=FakeTagger()).done == 1
    assert "error" not in lines_of(out)[0]


def test_conversations_without_utterances_are_passed_on(tmp_path: Path) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "out.jsonl"
    log.write_text('{"id":"a","utterances":[]}\n')
    tagger = FakeTagger()
    assert annotate([log], out, tagger=tagger).done == 1
    assert tagger.batches == []
    assert lines_of(out) == [{"id": "a", "utterances": []}]


def test_ctrl_c_leaves_what_was_done_to_be_resumed(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("an older output\n")
    log.write_text(log.read_text() + line("last", "stop") + "\n")
    summary = annotate([log], out, tagger=FakeTagger(), batch_utterances=4)
    assert summary.interrupted
    assert summary.exit_code == 130
    assert summary.journal == journal_of(out)
    assert out.read_text() == "an older output\n"  # until the new one is whole

    with pytest.raises(UnfinishedRun, match="resume it, or delete that file"):
        annotate([log], out, tagger=FakeTagger())

    log.write_text(log.read_text().replace("stop", "go"))
    tagger = FakeTagger()
    summary = annotate([log], out, tagger=tagger, resume=True)
    assert (summary.done, summary.skipped, summary.exit_code) == (3, 8, 0)
    assert tagger.batches == [["8", "9", "last"]]
    assert [item["id"] for item in lines_of(out)] == [*map(str, range(10)), "last"]
    assert all(u["prediction"] for item in lines_of(out) for u in item["utterances"])
    assert not journal_of(out).exists()


def interrupted(log: Path, out: Path) -> None:
    text = log.read_text()
    log.write_text(text + line("last", "stop") + "\n")
    assert annotate([log], out, tagger=FakeTagger(), batch_utterances=2).interrupted
    log.write_text(text)


def test_another_model_or_another_text_is_labelled_again(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    interrupted(log, out)
    other = FakeTagger()
    other.version = "fake-2"
    assert annotate([log], out, tagger=other, resume=True).skipped == 0
    interrupted(log, out)
    log.write_text(log.read_text().replace('"id": "3"', '"id": "three"'))
    assert annotate([log], out, tagger=FakeTagger(), resume=True).done == 1


def test_what_failed_is_tried_again(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"

    class Moody(FakeTagger):
        def tag(self, conversations: Sequence[Conversation], *, mode: str = "offline") -> list[Conversation]:
            if any(c.id == "3" for c in conversations):
                raise MemoryError
            return super().tag(conversations, mode=mode)

    text = log.read_text()
    log.write_text(text + line("last", "stop") + "\n")
    assert annotate([log], out, tagger=Moody(), batch_utterances=2).failed == 1
    log.write_text(text)
    summary = annotate([log], out, tagger=FakeTagger(), resume=True)
    assert (summary.done, summary.skipped, summary.failed) == (1, 9, 0)


@pytest.mark.parametrize("torn", [b'{"key":"abc","conv', b"\0\0\0\0\n", b"[1]\n", b"\xff\n"])
def test_a_torn_end_of_the_journal_costs_only_itself(log: Path, tmp_path: Path, torn: bytes) -> None:
    out = tmp_path / "out.jsonl"
    interrupted(log, out)
    with journal_of(out).open("ab") as file:
        file.write(torn)
    assert annotate([log], out, tagger=FakeTagger(), resume=True).skipped == 10
    assert len(lines_of(out)) == 10


@pytest.mark.parametrize("torn", [b'{"key":"abc","conv', b"\0\0\0\0\n", b"[1]\n", b"\xff\n"])
def test_what_is_written_after_a_torn_end_is_found_by_the_run_after_it(tmp_path: Path, torn: bytes) -> None:
    item, path = Conversation(id="c", utterances=()), tmp_path / "out.journal"
    with Journal.open(path, resume=False) as journal:
        journal.append([("first", item)])
    with path.open("ab") as file:
        file.write(torn)
    with Journal.open(path, resume=True) as journal:
        journal.append([("second", item)])
    with Journal.open(path, resume=True) as journal:
        assert set(journal.done) == {"first", "second"}
        assert [one.id for one in journal.items(list(journal.done.values()))] == ["c", "c"]


def test_a_file_in_the_journals_place_is_not_touched(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    journal_of(out).write_text("my diary, and nobody else's business\n")
    for resume in (True, False):
        with pytest.raises(UnfinishedRun):
            annotate([log], out, tagger=FakeTagger(), resume=resume)
    assert journal_of(out).read_text().startswith("my diary")


def test_progress_is_told_and_ends_whole(log: Path) -> None:
    told: list[AnnotationProgress] = []
    annotate([log], io.BytesIO(), tagger=FakeTagger(), progress=told.append, batch_utterances=4)
    assert [p.done for p in told] == sorted(p.done for p in told)
    assert (told[-1].done, told[-1].fraction) == (10, 1.0)


def test_wrong_usage_is_refused_before_anything_is_done(log: Path, tmp_path: Path) -> None:
    def run(inputs: list[Any], out: Any, **options: Any) -> None:
        annotate(inputs, out, tagger=FakeTagger(), **options)

    with pytest.raises(ValueError, match="no inputs"):
        run([], tmp_path / "o")
    with pytest.raises(ValueError, match="unknown output format 'xls'"):
        run([log], tmp_path / "o", to="xls")
    with pytest.raises(ValueError, match="unknown input format 'xls'"):
        run([log], tmp_path / "o", input_format="xls")
    with pytest.raises(ValueError, match="is an input and the output at once"):
        run([log], log)
    with pytest.raises(ValueError, match="not one into a stream"):
        run([log], io.BytesIO(), resume=True)
    with pytest.raises(FileNotFoundError):
        run([tmp_path / "missing"], tmp_path / "o")
    with pytest.raises(FileNotFoundError, match="no folder"):
        run([log], tmp_path / "missing" / "o")
    with pytest.raises(IsADirectoryError):
        run([log], tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_run_in_which_nothing_could_be_read_says_so(tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish"
    rubbish.write_bytes(bytes(range(256)))
    assert annotate([rubbish], tmp_path / "o", tagger=FakeTagger()).exit_code == 1
    rubbish.write_text("a poem\nby nobody\n")
    assert annotate([rubbish], tmp_path / "o", tagger=FakeTagger()).exit_code == 1


def test_names_are_taken_out_on_the_way(tmp_path: Path) -> None:
    chat, out = tmp_path / "Chat with Ann.txt", tmp_path / "out.jsonl"
    chat.write_text("Ann: I am Ann\nBo: hello ann, mail bo@example.org\n\nstray line of Ann\n")
    annotate([chat], out, tagger=FakeTagger(), anonymise=True)
    text = out.read_text()
    assert "Ann" not in text
    assert "Bo" not in text
    item = next(i for i in lines_of(out) if i["utterances"])
    assert [u["speaker"] for u in item["utterances"]] == ["Speaker 1", "Speaker 2"]
    assert item["utterances"][1]["text"] == "hello Speaker 1, mail [email]"


SLOW = """
import sys, time
from pathlib import Path
from dialog.annotation.annotate import annotate
from dialog.conversation import Prediction

class Slow:
    version = "slow"
    calls = 0
    def tag(self, conversations, *, mode="offline"):
        Slow.calls += 1
        if Slow.calls > int(sys.argv[3]):
            time.sleep(2)  # time enough for a signal on a busy machine; Ctrl-C lets the batch in hand finish
        time.sleep(0.01)
        joy = Prediction(emotion="joy", probability=1.0, probabilities={"joy": 1.0}, sentiment="positive")
        return [c.with_predictions([joy] * len(c.utterances)) for c in conversations]

summary = annotate([sys.argv[1]], sys.argv[2], tagger=Slow(), resume=True, batch_utterances=8)
print(summary.done, summary.skipped, summary.exit_code, flush=True)
sys.exit(summary.exit_code)
"""


def start(log: Path, out: Path, calls: int = 1000) -> subprocess.Popen[str]:
    root = Path(__file__).parents[3]
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SLOW), str(log), str(out), str(calls)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
        # A background job of a script ignores Ctrl-C, and so would all it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for_journal(out: Path, size: int) -> None:
    deadline = time.monotonic() + 120
    while not journal_of(out).exists() or journal_of(out).stat().st_size < size:
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(("how", "sizes"), [(signal.SIGKILL, (1000, 4000)), (signal.SIGINT, (3000,))])
def test_nothing_is_lost_when_the_process_is_killed(
    tmp_path: Path, how: signal.Signals, sizes: tuple[int, ...]
) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "out.jsonl"
    log.write_text("\n".join(line(str(i), *"ab") for i in range(80)))
    for size in sizes:
        process = start(log, out, calls=8)  # of the 20 batches
        wait_for_journal(out, size)
        process.send_signal(how)
        process.communicate()
        assert process.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 130)
        assert not out.exists()
    written = journal_of(out).read_bytes().count(b"\n") - 1
    process = start(log, out)
    said, _ = process.communicate()
    done, skipped, code = map(int, said.split())
    assert (done + skipped, code, process.returncode) == (80, 0, 0)
    assert skipped >= written - 1 > 0  # at most the line the kill tore
    assert [item["id"] for item in lines_of(out)] == [str(i) for i in range(80)]
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["log.jsonl", "out.jsonl"]


def test_two_runs_cannot_write_one_output(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"

    class Nosy(FakeTagger):
        def tag(self, conversations: Sequence[Conversation], *, mode: str = "offline") -> list[Conversation]:
            for resume in (True, False):
                with pytest.raises(BusyOutput, match=r"another run is writing .*out\.jsonl; wait for it, or stop it"):
                    annotate([log], out, tagger=FakeTagger(), resume=resume)
            return super().tag(conversations, mode=mode)

    assert annotate([log], out, tagger=Nosy()).failed == 0


def test_what_comes_out_can_go_in_again(log: Path, tmp_path: Path) -> None:
    annotate([log], tmp_path / "out.jsonl", tagger=FakeTagger())
    again = list(read(tmp_path / "out.jsonl"))
    assert not any(isinstance(item, Unreadable) for item in again)
    annotate([tmp_path / "out.jsonl"], tmp_path / "again.jsonl", tagger=FakeTagger())
    assert lines_of(tmp_path / "again.jsonl") == lines_of(tmp_path / "out.jsonl")


CHAT = "31/12/20, 21:41 - {0}: x\n31/12/20, 21:42 - {0}: <Media omitted>\n31/12/20, 21:43 - {0} added Cem\n"


def test_what_was_left_out_is_counted_over_all_inputs(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(CHAT.format("Ann"))
    out = tmp_path / "out.jsonl"
    summary = annotate([tmp_path / "a.txt", tmp_path / "b.txt"], out, tagger=FakeTagger())
    assert summary.left_out == {"media message": 2, "system line": 2}
    assert [item["left_out"] for item in lines_of(out)] == [{"media message": 1, "system line": 1}] * 2


def test_a_log_of_which_nothing_could_be_read_is_1(tmp_path: Path) -> None:
    log = tmp_path / "chat.txt"
    log.write_text("31/12/20, 21:41 - Ann added Bo\n31/12/20, 21:42 - Ann: <Media omitted>\n")
    summary = annotate([log], tmp_path / "o", tagger=FakeTagger())
    assert summary.exit_code == 1
    assert summary.failures[0].error == "nobody says anything in it; left out: 1 media message and 1 system line"


def test_two_chats_of_one_name_stay_two_after_a_table_and_back(tmp_path: Path) -> None:
    inputs = []
    for folder, name in (("one", "Ann"), ("two", "Bo"), ("three", "Cem")):
        (tmp_path / folder).mkdir()
        inputs.append(tmp_path / folder / "chat.txt")
        inputs[-1].write_text(f"31/12/20, 21:41 - {name}: x\n31/12/20, 21:42 - {name}: y\n")
    out = tmp_path / "out.csv"
    annotate(inputs, out, tagger=FakeTagger(), to="csv")
    again = [item for item in read(out) if isinstance(item, Conversation)]
    assert [(c.id, c.speakers) for c in again] == [
        ("chat-1", ("Ann",)), ("chat-1 (2)", ("Bo",)), ("chat-1 (3)", ("Cem",)),
    ]  # fmt: skip
    annotate(inputs, tmp_path / "out.jsonl", tagger=FakeTagger())
    warnings = [item.get("warnings") for item in lines_of(tmp_path / "out.jsonl")]
    assert warnings[0] is None
    assert [w["text"] for w in warnings[1]] == ["another conversation is called 'chat-1' too; this one was renamed"]


def test_ids_that_came_in_stay_within_one_file_of_lines(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join([line("a", "x"), line("a", "y")]))
    annotate([log], tmp_path / "o.jsonl", tagger=FakeTagger())
    assert [item["id"] for item in lines_of(tmp_path / "o.jsonl")] == ["a", "a"]
    annotate([log], tmp_path / "o.csv", tagger=FakeTagger(), to="csv")
    assert [item.id for item in read(tmp_path / "o.csv")] == ["a", "a (2)"]


def test_a_link_stays_a_link(log: Path, tmp_path: Path) -> None:
    target, soft, hard = tmp_path / "target", tmp_path / "soft", tmp_path / "hard"
    target.write_text("old")
    soft.symlink_to(target)
    annotate([log], soft, tagger=FakeTagger())
    assert soft.is_symlink()
    assert len(lines_of(target)) == 10
    target.write_text("old" * 10000)
    hard.hardlink_to(target)
    annotate([log], hard, tagger=FakeTagger())
    assert hard.samefile(target)
    assert len(lines_of(target)) == 10


def test_a_pipe_is_written_into_and_stays_a_pipe(log: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        annotate([log], pipe, tagger=FakeTagger())
        received, _ = reader.communicate()
    assert received.count(b"\n") == 10
    assert pipe.is_fifo()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.jsonl", "pipe"]
    annotate([log], Path("/dev/null"), tagger=FakeTagger())
    assert Path("/dev/null").is_char_device()
    with pytest.raises(ValueError, match="only a run into a file can be resumed"):
        annotate([log], pipe, tagger=FakeTagger(), resume=True)


def test_a_file_that_may_not_grow_is_named(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: int) -> None:
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr("os.fsync", refused)
    with pytest.raises(OSError, match="File too large") as told:
        annotate([log], tmp_path / "out.html", tagger=FakeTagger())
    # Its journal, where that is written out first: it is, once some time has passed.
    assert told.value.filename in {str(tmp_path / name) for name in ("out.html", "out.html.journal")}


def test_a_full_disk_names_the_file_and_what_to_do(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoSpace, match="no space left to write /dev/full; make room there"):
        annotate([log], Path("/dev/full"), tagger=FakeTagger())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    out = tmp_path / "out.jsonl"
    with pytest.raises(NoSpace, match=r"no space left to write .*journal; .* with --resume: the work so far is kept"):
        annotate([log], out, tagger=FakeTagger())
    monkeypatch.undo()
    assert annotate([log], out, tagger=FakeTagger(), resume=True).exit_code == 0


class PatientTagger(FakeTagger):
    """Works through a long conversation a thousand utterances at a time, and keeps how far it came."""

    stop_after = 10**9

    def __init__(self) -> None:
        super().__init__()
        self.read = 0

    def tag_long(self, conversation: Conversation, *, mode: str, progress: Any, keep: Path | None) -> Conversation:
        n = len(conversation.utterances)
        done = int(keep.read_text()) if keep and keep.exists() else 0
        while done < n:
            done, self.read = min(done + 1000, n), self.read + 1000
            if keep:
                keep.write_text(str(done))
            progress(done)
            if self.read >= self.stop_after:
                raise KeyboardInterrupt
        (tagged,) = self.tag([conversation])
        return tagged


def test_one_long_conversation_is_watched_and_gone_on_with_inside(tmp_path: Path) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "out.jsonl"
    log.write_text(line("short") + "\n" + line("long", *("x" for _ in range(6000))) + "\n")
    tagger, told = PatientTagger(), list[AnnotationProgress]()
    tagger.stop_after = 4000
    summary = annotate([log], out, tagger=tagger, progress=told.append)
    assert summary.interrupted
    fractions = [p.fraction for p in told]
    assert fractions == sorted(fractions)
    assert len({f for f in fractions if 0 < f < 1}) >= 3
    assert [p.utterances for p in told][-1] == 4000
    again = PatientTagger()
    summary = annotate([log], out, tagger=again, resume=True)
    assert (summary.done, again.read) == (2, 2000)
    assert [len(item["utterances"]) for item in lines_of(out)] == [1, 6000]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.jsonl", "out.jsonl"]
