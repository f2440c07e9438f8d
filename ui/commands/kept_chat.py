"""A chat of the terminal that is kept in a file, and goes on where it was left."""

import json
from pathlib import Path

from dialog.conversation import Conversation, Utterance
from models.aside import write_aside


class KeptChat:
    """What was said so far, in a file of one conversation that `rapport annotate` reads too; nowhere without a path.

    The file is written anew after every message, beside it and then renamed, so a kill loses the message being typed
    and no more. ValueError where the file holds something else.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.said: list[Utterance] = []
        if path is None:
            return
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise ValueError(f"{path} cannot be a file: expected a name in a folder that is there")
        if path.is_file() and path.stat().st_size:
            try:
                self.said = list(Conversation.from_dict(json.loads(path.read_text("utf-8"))).utterances)
            except ValueError as error:
                raise ValueError(f"{path} holds no chat that was kept here: {error}") from error

    def add(self, speaker: str, text: str) -> None:
        """A message more."""
        self.said.append(Utterance(speaker=speaker, text=text))
        self._write()

    def answer(self, speaker: str, text: str, *, another: bool) -> None:
        """An answer; `another` stands in the place of the one before it."""
        if another:
            self.said.pop()
        self.add(speaker, text)

    def _write(self) -> None:
        if self.path is None:
            return
        kept = json.dumps(Conversation(id=self.path.stem, utterances=tuple(self.said)).to_dict(), ensure_ascii=False)
        write_aside(self.path, lambda aside: Path(aside).write_text(kept + "\n", encoding="utf-8"))
