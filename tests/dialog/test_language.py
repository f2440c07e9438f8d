"""What counts as not English: by script, by language, and with the benefit of the doubt."""

import pytest

from dialog.language import unfamiliar


@pytest.mark.parametrize(
    "text",
    [
        "Я не понимаю, что ты говоришь",
        "今日はとても悲しいです",
        "مرحبا كيف حالك اليوم",
        "Ich verstehe einfach nicht, warum das passiert ist",
        "No entiendo por qué estás tan enojado conmigo hoy",
        "Je ne comprends pas pourquoi tu es si triste aujourd'hui",
    ],
)
def test_other_languages_and_scripts_are_seen(text: str) -> None:
    assert unfamiliar([text]) == [0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "hm",
        "Ja!",
        "haha omg lol",
        "No entiendo",  # too short to be sure
        "😀😀😀 ❤️",
        "https://example.org/a/b?c=d",
        "I don’t know what you’re talking about, café is nice",
        "sudo apt-get install linux-image-generic",
        "gonna grab lunch w/ u guys 2moro pls wait",
        "1234 5678 91011",
    ],
)
def test_english_short_and_wordless_texts_are_let_pass(text: str) -> None:
    assert unfamiliar([text]) == []


def test_places_are_those_of_the_foreign_texts() -> None:
    assert unfamiliar(["How are you today?", "Мне очень грустно", "Fine, and you?", "我很生气"]) == [1, 3]


def test_an_enormous_text_is_judged_by_its_beginning() -> None:
    assert unfamiliar(["I think that it is so " * 100_000]) == []
