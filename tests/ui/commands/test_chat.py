import pytest

from ui.commands.terminal import printable
from ui.commands.terminal_chat import spoken


@pytest.mark.parametrize(
    ("line", "speaker", "text"),
    [
        ("Ann: hello", "Ann", "hello"),
        ("  Ann  :   hello ", "Ann", "hello"),
        ("Dr. No: a: b", "Dr. No", "a: b"),
        ("hello", "Bo", "hello"),
        ("see https://example.org", "Bo", "see https://example.org"),
        ("at 12:30 sharp", "Bo", "at 12:30 sharp"),
        (": hello", "Bo", ": hello"),
        ("안나: 좋아", "안나", "좋아"),
        ("x" * 60 + ": long", "Bo", "x" * 60 + ": long"),
    ],
)
def test_a_line_is_somebodys(line: str, speaker: str, text: str) -> None:
    assert spoken(line, "Bo") == (speaker, text)


def test_an_empty_line_is_nobodys() -> None:
    assert spoken(" \n", "Bo") is None


def test_nothing_that_is_printed_commands_the_terminal() -> None:
    assert printable("a\x1b[31mb\x07\n\tc 😊") == "a\N{REPLACEMENT CHARACTER}[31mb\N{REPLACEMENT CHARACTER}\n\tc 😊"
