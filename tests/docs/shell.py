"""The few words of a shell that README's examples use, run in this process where they are ours."""

import io
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

Command = Callable[[list[str], str], str]
"""Arguments and what comes in, to what goes out."""


class Shell:
    """Runs lines of commands in a folder. `commands` are those in this process, by name; others are the machine's."""

    def __init__(self, folder: Path, commands: Mapping[str, Command]) -> None:
        self.folder, self.commands = folder, commands

    def run(self, text: str) -> str:
        """What all its lines write."""
        return "".join(self._line(line) for line in _lines(text))

    def _line(self, words: Sequence[str]) -> str:
        flowing, command = "", list[str]()
        for word in (*words, "|"):
            if word != "|":
                command.append(word)
                continue
            target = None
            if ">" in command:
                target = command.pop(command.index(">") + 1)
                command.remove(">")
            flowing = self._command(command, flowing)
            if target is not None:
                (self.folder / target).write_text(flowing, encoding="utf-8")
                flowing = ""
            command = []
        return flowing

    def _command(self, words: list[str], flowing: str) -> str:
        name, *arguments = words
        if name in self.commands:
            return self.commands[name](arguments, flowing)
        done = subprocess.run(words, input=flowing, capture_output=True, text=True, cwd=self.folder, check=True)
        return done.stdout


def _lines(text: str) -> Iterator[list[str]]:
    """The words of each line; a line goes on inside quotation marks and after a backslash."""
    reader = shlex.shlex(io.StringIO(text.replace("\\\n", " ")), posix=True, punctuation_chars="|>\n")
    reader.whitespace, reader.whitespace_split, reader.commenters = " \t", True, "#"
    line = list[str]()
    for word in reader:
        if set(word) == {"\n"}:
            if line:
                yield line
            line = []
        else:
            line.append(word)
    if line:
        yield line
