"""What a question asks for: its kind, what it is about, the choices it names, the claim it makes."""

import pytest

from dialog.pictures.questions import claim, read


@pytest.mark.parametrize(
    ("question", "kind", "noun"),
    [
        ("Is there a dog?", "presence", "dog"),
        ("Are there any puppies in the picture?", "presence", "dog"),
        ("Do you see a bike?", "presence", "bicycle"),
        ("Does the image contain a circle?", "presence", "circle"),
        ("Is it a cat?", "presence", "cat"),
        ("Is anybody in the room?", "presence", "person"),
        ("What colour is the man's shirt?", "colour", "shirt"),
        ("what color are the dogs ?", "colour", "dog"),
        ("How many people are there?", "count", "person"),
        ("How many chairs are on the left side of the table ?", "count", "chair"),
        ("What is the man doing?", "doing", "man"),
        ("what is the little girl in red wearing?", "wearing", "girl"),
        ("Where is she?", "where", ""),
        ("What animal is this?", "name", "animal"),
        ("Who is in the picture?", "name", "person"),
        ("What room is it?", "name", "room"),
        ("What is the weather like?", "name", "weather"),
        ("How is the weather here?", "name", "weather"),
        ("What season is it?", "name", "season"),
        ("What is the boy riding?", "object", "riding"),
        ("What is in the picture?", "describe", ""),
        ("Describe it, please", "describe", ""),
        ("what is on the right side of the white table ?", "open", ""),
        ("What breed of dog is this?", "finer", "dog"),
        ("what kind of boat is it?", "finer", "boat"),
        ("What kind of place is it?", "where", ""),
        ("what kind of animal is it?", "name", "animal"),
        ("What are they sitting on?", "upon", "on"),
        ("What is sitting on the bed?", "name", ""),
        ("what is on the water?", "name", ""),
        ("Are they elephants?", "presence", "elephant"),
        ("Are they indoors?", "claim", ""),
    ],
)
def test_a_question_has_a_kind_and_a_noun(question: str, kind: str, noun: str) -> None:
    found = read(question)
    assert (found.kind, found.noun) == (kind, noun)


@pytest.mark.parametrize(
    "question",
    ["why is the sky blue?", "When was it taken?", "Will it rain tomorrow?", "How old is she?", "What is his name?",
     "What is the dog's name?",
     "who took this picture?", "how many legs does a spider have?", "What happened before?"],
)  # fmt: skip
def test_what_no_picture_answers_is_known_for_it(question: str) -> None:
    assert read(question).kind == "never"


@pytest.mark.parametrize(
    "question", ["What does the sign say?", "What number is on his shirt?", "What is written here?"]
)
def test_what_would_have_to_be_read_is_known_for_it(question: str) -> None:
    assert read(question).kind == "text"


@pytest.mark.parametrize("question", ["qwertz asdf", "???!", "12345 67890", "xkcd plugh xyzzy frotz"])
def test_what_is_no_question_is_known_for_it(question: str) -> None:
    assert read(question).kind == "nonsense"


def test_another_language_is_known_for_it() -> None:
    assert read("¿Qué está haciendo el perro en la foto?").kind == "foreign"


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("Is it a cat or a dog?", ("cat", "dog")),
        ("Is this indoors or outdoors?", ("indoors", "outdoors")),
        ("Is it day or night?", ("day", "night")),
        ("Is the man sitting or standing?", ("sitting", "standing")),
        ("Is it a baby or an old man?", ("baby", "old man")),
    ],
)
def test_a_choice_names_what_there_is_to_choose(question: str, options: tuple[str, str]) -> None:
    found = read(question)
    assert (found.kind, found.options) == ("either", options)


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("is the man smiling", "the man is smiling"),
        ("does the dog have a collar", "the dog have a collar"),
        ("is it raining", "it is raining"),
        ("is this person a baseball player", "this person is a baseball player"),
    ],
)
def test_a_question_for_yes_or_no_is_a_claim(question: str, sentence: str) -> None:
    assert claim(question) == sentence


def test_a_statement_is_a_claim_and_a_question_with_its_words_is_not() -> None:
    assert read("A man is riding a bike.").claim == "a man is riding a bike"
    assert read("there is a black square .").kind == "claim"
    assert read("The man is where?").kind != "claim"


@pytest.mark.parametrize(
    ("question", "kind", "noun"),
    [
        ("What is in the background?", "there", "background"),
        ("what is behind him?", "there", "background"),
        ("what's behind the man?", "there", "background"),
        ("what is on the counter?", "there", "counter"),
        ("what is he climbing?", "object", "climbing"),
        ("What is the dog chasing?", "object", "chasing"),
        ("what is the dog jumping over?", "object", "jumping over"),
        ("what does it have in its mouth?", "object", "mouth"),
        ("what is in the dog's mouth?", "object", "mouth"),
        ("what does he have in his hand?", "object", "holding"),
        ("is there a dog in the background?", "presence", "dog"),
    ],
)
def test_what_is_behind_and_what_is_done_to_a_thing_are_asked(question: str, kind: str, noun: str) -> None:
    asked = read(question)
    assert (asked.kind, asked.noun) == (kind, noun)
