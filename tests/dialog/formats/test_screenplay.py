"""Screenplays, Fountain and plays."""

import io

import pytest

from dialog.conversation import Conversation
from dialog.formats import Unreadable, read, sniff
from tests.dialog.formats.test_further_exports import parsed, said

FOUNTAIN = """Title: **The Kitchen**
Author: Jo Doe

====

INT. KITCHEN - NIGHT

Rain on the window. ANNA (30s) washes one plate again and again.

ANNA
I told you *not* to call him.

BEN
(not looking up)
I know. I know what
you told me. [[soft]]

ANNA (CONT'D)
Then why?
STOP!

/* cut
BEN
never said
*/

@McAVOY (V.O.)
She never asked twice.

CUT TO:

EXT. STREET - CONTINUOUS

Ben runs.

EXT. ROOF - DAY

BEN ^
Wait!

> THE END <
"""
SCRIPT = """                          THE KITCHEN

                         ANNA
               I told you not to call him.

                         BEN
                    (not looking up)
               I know.

Rain.

                         ANNA (CONT'D)
               Then why?
"""
WORDS = [
    ("ANNA", "I told you not to call him."),
    ("BEN", "I know. I know what\nyou told me."),
    ("ANNA", "Then why?\nSTOP!"),
    ("McAVOY", "She never asked twice."),
]


def test_fountain_is_a_conversation_a_scene() -> None:
    assert sniff(FOUNTAIN.encode()) == "screenplay"
    kitchen, roof = parsed(FOUNTAIN)
    assert (kitchen.id, roof.id) == ("1. INT. KITCHEN - NIGHT", "2. EXT. ROOF - DAY")
    assert said(kitchen) == WORDS
    assert said(roof) == [("BEN", "Wait!")]
    assert set(kitchen.extra["left_out"]) == {"stage direction"}
    assert roof.extra["left_out"] == {"stage direction": 2}  # that of a scene without words, and the last line


def test_names_in_the_middle_of_the_page() -> None:
    (scene,) = parsed(SCRIPT)
    assert said(scene) == [("ANNA", "I told you not to call him."), ("BEN", "I know."), ("ANNA", "Then why?")]
    assert scene.extra["left_out"] == {"stage direction": 3}


@pytest.mark.parametrize("dot", ["", "."])
def test_plays_without_empty_lines(dot: str) -> None:
    play = f"ACT I\nSCENE I. Elsinore.\nBERNARDO{dot}\nWho's there?\nFRANCISCO{dot}\nNay, answer me:\nstand!\n"
    (scene,) = parsed(play + f"BERNARDO{dot}\nLong live the king!\n")
    assert scene.id == "1. SCENE I. Elsinore."
    assert said(scene) == [
        ("BERNARDO", "Who's there?"), ("FRANCISCO", "Nay, answer me:\nstand!"), ("BERNARDO", "Long live the king!"),
    ]  # fmt: skip


def test_names_before_the_words() -> None:
    play = (
        "ALGERNON. Did you hear what I was playing,\nLane?\n\nLANE. [Bowing.] I didn't think it polite, sir.\n\n"
        "[He goes.]\n\nALGERNON. (alone) I'm sorry for that.\n\nLADY BRACKNELL. Good afternoon!\n"
    )
    assert sniff(play.encode()) == "screenplay"
    (scene,) = parsed(play)
    assert said(scene) == [
        ("ALGERNON", "Did you hear what I was playing,\nLane?"), ("LANE", "I didn't think it polite, sir."),
        ("ALGERNON", "I'm sorry for that."), ("LADY BRACKNELL", "Good afternoon!"),
    ]  # fmt: skip
    (asked,) = parsed("Q. How did it start?\nA. Badly.\nQ. And then?\nA. Worse.\n")
    assert said(asked)[2:] == [("Q", "And then?"), ("A", "Worse.")]


@pytest.mark.parametrize(
    "text",
    [
        "MINUTES\nWe met at nine.\nBUDGET\nIt is spent.\nPLANS\nNone were made.\n",
        "ERROR\ndisk is full\nERROR\ndisk is full\nERROR\ndisk is full\n",
        "It was dark.\nNobody spoke.\nHELP!\nNobody spoke.\nHELP!\nNobody came.\nHELP!\nNobody.\n",
    ],
)
def test_headings_and_shouts_are_no_names(text: str) -> None:
    (item,) = read(io.BytesIO(text.encode()), name="notes")
    assert isinstance(item, Unreadable)


def test_a_text_without_names_is_refused_as_a_screenplay() -> None:
    (item,) = parsed("nobody speaks here\n", "screenplay")
    assert isinstance(item, Unreadable)
    assert "names in capitals" in item.reason


def test_every_word_under_a_name_is_kept_however_the_lines_are_broken() -> None:
    words = [f"word{i}" for i in range(60)]
    for width in (1, 3, 7, 60):
        lines = "\n".join(" ".join(words[i : i + width]) for i in range(0, 60, width))
        items = parsed(f"ANN\n{lines}\n\nBO\nyes\n\nANN\nno\n", "screenplay")
        conversation = items[0]
        assert isinstance(conversation, Conversation)
        assert conversation.utterances[0].text.split() == words
