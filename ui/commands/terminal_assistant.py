"""The conversation with the assistant in the terminal: a line in, its emotion, a reply and the reply's emotion."""

import sys
from collections.abc import Generator
from contextlib import closing
from typing import Any, TextIO

from dialog.conversation import Conversation, Prediction, Utterance
from dialog.emotion.port import LiveTagger
from dialog.replies.port import Responder, ResponderUnavailable
from ui.commands.kept_chat import KeptChat
from ui.commands.terminal import note, printable
from ui.commands.terminal_chat import caveat_of, reporter, spoken, typed_lines

ASSISTANT = "assistant"
AGAIN = "/again"
YOU = "You"
_REMEMBERED = 40
"""Messages that the responder is told of."""


def converse_with(
    responder: Responder, tagger: LiveTagger, lines: TextIO, *, kept: KeptChat | None = None, as_json: bool = False
) -> int:
    """Reads lines to their end and answers each; `/again` gives another answer to the same message.

    What is said feels as in any live chat, the replies too: they are part of what later messages are read in. Where the
    responder does not answer, that is said, and the conversation goes on. A kept chat goes on where it was left, its
    last answer still to be given anew.
    """
    kept = kept or KeptChat()
    if lines.isatty():
        note(f"Type a message; {AGAIN} gives another answer. Ctrl-C while it answers stops it, Ctrl-D ends the chat.")
    show = reporter(tagger.version, as_json=as_json)
    said: list[Utterance] = []
    state, speaker = tagger.start(), YOU
    before = list(kept.said)
    refused = [before.pop().text] if before and before[-1].speaker == ASSISTANT else []
    for u in before:
        _, state = _heard(tagger, state, said, u.speaker, u.text)
    if kept.said:
        note(f"Going on after {len(kept.said):,} message{'s' * (len(kept.said) > 1)}.")
    for line in typed_lines(lines):
        if line.strip() == AGAIN:
            if not said:
                note("There is nothing to answer yet.")
                continue
        else:
            turn = spoken(line, speaker)
            if turn is None:
                continue
            if refused:  # the last reply stands
                state = _heard(tagger, state, said, ASSISTANT, refused[-1])[1]
            speaker, text = turn
            prediction, state = _heard(tagger, state, said, speaker, text)
            show(speaker, text, prediction, caveat_of(text), typed=lines.isatty())
            kept.add(speaker, text)
            refused = []
        reply = _reply(responder, said, refused, echo=not as_json)
        if reply:
            prediction, _ = tagger.step(state, ASSISTANT, reply)
            show(ASSISTANT, reply, prediction, caveat_of(reply), typed=not as_json)
            kept.answer(ASSISTANT, reply, another=bool(refused))
            refused.append(reply)
    return 0


def _heard(tagger: LiveTagger, state: Any, said: list[Utterance], speaker: str, text: str) -> tuple[Prediction, Any]:
    """A message more: what it feels, and the state after it."""
    prediction, after = tagger.step(state, speaker, text)
    said.append(Utterance(speaker=speaker, text=text, prediction=prediction))
    del said[:-_REMEMBERED]
    return prediction, after


def _reply(responder: Responder, said: list[Utterance], refused: list[str], *, echo: bool) -> str:
    """The words of a reply, shown as they come; as far as it came where somebody stopped it."""
    words = ""
    try:
        with closing(_pieces(responder, said, refused)) as pieces:
            for piece in pieces:
                if echo and not words and piece:
                    sys.stdout.write(f"{ASSISTANT}: ")
                words += piece
                if echo:
                    sys.stdout.write(printable(piece))
                    sys.stdout.flush()
    except ResponderUnavailable as error:
        note(str(error))
    except KeyboardInterrupt:
        note("stopped")
    if echo and words:
        sys.stdout.write("\n")
        sys.stdout.flush()
    return words


def _pieces(responder: Responder, said: list[Utterance], refused: list[str]) -> Generator[str, None, None]:
    conversation = Conversation(id="terminal", utterances=tuple(said))
    pieces = responder.reply(conversation, speaker=ASSISTANT, instead_of=tuple(refused))
    for piece in pieces:
        yield piece.text
