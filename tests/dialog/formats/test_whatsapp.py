"""WhatsApp exports: phones, languages, date orders, and what nobody wrote."""

import io
import string
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog.conversation import Conversation
from dialog.formats import Unreadable, read, sniff

NNBSP = "\u202f"
LRM = "\u200e"

# Date pattern, clock pattern, and what stands around them: how real phones write.
STYLES = {
    "Android, British": ("{d:02}/{m:02}/{Y}, {H:02}:{M:02} - ", False),
    "Android, American": ("{m}/{d}/{y:02}, {h}:{M:02}" + NNBSP + "{AM} - ", True),
    "Android, German": ("{d:02}.{m:02}.{y:02}, {H:02}:{M:02} - ", False),
    "Android, Spanish": ("{d}/{m}/{y:02}, {h}:{M:02} {a. m.} - ", True),
    "Android, Spanish 24 h": ("{d}/{m}/{Y} {H:02}:{M:02} - ", False),
    "Android, Dutch": ("{d:02}-{m:02}-{Y} {H:02}:{M:02} - ", False),
    "Android, Indian": ("{d:02}/{m:02}/{y:02}, {h}:{M:02} {am} - ", True),
    "Android, ISO": ("{Y}-{m:02}-{d:02}, {H:02}:{M:02} - ", False),
    "Android, Chinese": ("{Y}/{m}/{d} {上午}{h}:{M:02} - ", True),
    "Android, Korean": ("{Y}년 {m}월 {d}일 {오전} {h}:{M:02} - ", True),
    "iOS, British": ("[{d:02}/{m:02}/{Y}, {H:02}:{M:02}:{S:02}] ", False),
    "iOS, American": ("[{m}/{d}/{y:02}, {h}:{M:02}:{S:02}" + NNBSP + "{AM}] ", True),
    "iOS, German": ("[{d:02}.{m:02}.{y:02}, {H:02}:{M:02}:{S:02}] ", False),
    "iOS, Danish": ("[{d:02}.{m:02}.{Y} {H:02}.{M:02}.{S:02}] ", False),
    "iOS, ISO": ("[{Y}-{m:02}-{d:02}, {h}:{M:02}:{S:02} {AM}] ", True),
    "iOS, Swedish": ("[{Y}-{m:02}-{d:02} {H:02}:{M:02}:{S:02}] ", False),
}
HALVES = {"AM": "PM", "am": "pm", "a. m.": "p. m.", "上午": "下午", "오전": "오후"}


def stamp(style: str, at: datetime) -> str:
    pattern, _ = STYLES[style]
    for morning, evening in HALVES.items():
        pattern = pattern.replace("{" + morning + "}", morning if at.hour < 12 else evening)
    return pattern.format(
        d=at.day, m=at.month, y=at.year % 100, Y=at.year, H=at.hour, h=at.hour % 12 or 12, M=at.minute, S=at.second
    )


def parsed(text: str, format: str = "whatsapp") -> list[Any]:
    return list(read(io.BytesIO(text.encode()), format=format, name="chat"))


def one(text: str, format: str = "whatsapp") -> Conversation:
    (conversation,) = parsed(text, format)
    assert isinstance(conversation, Conversation)
    return conversation


def said(conversation: Conversation) -> list[tuple[str, str]]:
    return [(u.speaker, u.text) for u in conversation.utterances]


# A prefix keeps the made-up texts from being a notice, a date or a file's name by accident.
LINE = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=30).map(lambda s: f"x {s}".strip())
NAME = st.text(st.characters(categories=["L", "N", "So"]), max_size=20).map(lambda s: f"A{s}") | st.sampled_from(
    ["Ann Smith", "🎉 Bo 🎉", "+49 170 1234567", "Zoë O'Neil", "小明"]
)
TURNS = st.lists(
    st.tuples(NAME, st.lists(LINE, min_size=1, max_size=3).map("\n".join), st.integers(0, 5000)), min_size=1, max_size=6
)


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=15)
@given(turns=TURNS)
def test_what_is_rendered_is_read_again(style: str, turns: list[tuple[str, str, int]]) -> None:
    at = datetime(2020, 12, 29, 9, 30, 5)
    lines, times = [stamp(style, at) + "Ann: x"], [at]
    for speaker, text, minutes in turns:
        at += timedelta(minutes=minutes)
        times.append(at)
        lines.append(f"{stamp(style, at)}{speaker}: {text}")
    conversation = one("\n".join(lines), "auto")
    assert said(conversation)[1:] == [(speaker, text) for speaker, text, _ in turns]
    exact = "{S" in STYLES[style][0]
    expected = [t if exact else t.replace(second=0) for t in times]
    assert [u.time for u in conversation.utterances] == [t.isoformat() for t in expected]
    assert not conversation.warnings


@pytest.mark.parametrize("mark", ["", "\ufeff", LRM, "\ufeff" + LRM])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_marks_and_line_ends_make_no_difference(mark: str, end: str) -> None:
    text = mark + end.join(
        [f"[31/12/2020, 21:41:05] Ann: one{end}two", f"{LRM}[31/12/2020, 21:42:05] \u202aBo\u202c: 3"]
    )
    assert sniff(text.encode()) == "whatsapp"
    assert said(one(text)) == [("Ann", "one\ntwo"), ("Bo", "3")]


def times_of(*dates: str) -> tuple[list[str | None], tuple[str, ...]]:
    conversation = one("\n".join(f"{date}, 10:00 - Ann: x" for date in dates))
    return [u.time[:10] if u.time else None for u in conversation.utterances], conversation.warnings


def test_a_number_over_twelve_tells_the_order_for_the_whole_file() -> None:
    assert times_of("01/02/20", "13/02/20")[0] == ["2020-02-01", "2020-02-13"]
    assert times_of("01/02/20", "02/13/20")[0] == ["2020-01-02", "2020-02-13"]
    assert times_of("20/01/02", "20/01/31") == (["2020-01-02", "2020-01-31"], ())


def test_time_does_not_run_backwards() -> None:
    assert times_of("05/01/20", "06/01/20", "01/02/20") == (["2020-01-05", "2020-01-06", "2020-02-01"], ())
    assert times_of("1/5/20", "1/6/20", "2/1/20") == (["2020-01-05", "2020-01-06", "2020-02-01"], ())


def test_a_doubt_that_stays_is_told() -> None:
    times, warnings = times_of("03/04/20")
    assert times == ["2020-04-03"]
    assert warnings == ("the dates do not tell their order; read as day, month, year, could be month, day, year",)
    assert times_of("04/04/20") == (["2020-04-04"], ())  # the same either way


def test_a_chat_of_days_is_likelier_than_one_of_months() -> None:
    times, warnings = times_of("4/3/20", "4/4/20", "4/5/20")
    assert times == ["2020-04-03", "2020-04-04", "2020-04-05"]
    assert "do not tell their order" in warnings[0]


def test_a_date_that_does_not_exist_loses_only_its_time() -> None:
    times, warnings = times_of("13/02/20", "14/02/20", "31/02/20", "15/02/20")
    assert times == ["2020-02-13", "2020-02-14", None, "2020-02-15"]
    assert warnings[0].startswith("1 date(s) do not exist")


def test_midnight_and_noon_on_a_clock_of_twelve_hours() -> None:
    text = "".join(f"12/13/20, {t} - Ann: x\n" for t in ("12:00 AM", "11:59 AM", "12:00 PM", "11:59 PM"))
    assert [u.time[11:16] for u in one(text).utterances if u.time] == ["00:00", "11:59", "12:00", "23:59"]


def test_digits_of_other_scripts_are_digits() -> None:
    (utterance,) = one("٣١‏/١٢‏/٢٠٢٠, ٩:٤١ م - أحمد: مرحبا".replace("\u200f", "")).utterances
    assert (utterance.time, utterance.speaker) == ("2020-12-31T21:41:00", "أحمد")


def test_lines_before_the_first_message_are_unreadable_and_cost_nothing_else() -> None:
    wrong, conversation = parsed("a stray line\n31/12/20, 21:41 - Ann: Hi")
    assert isinstance(wrong, Unreadable)
    assert wrong.line == 1
    assert said(conversation) == [("Ann", "Hi")]


@pytest.mark.parametrize(
    "line",
    [
        "Messages and calls are end-to-end encrypted. No one outside of this chat can read them.",
        "Ann added Bo",
        'Ann changed the subject from "a: b" to "Plan: lunch"',
        "Ann created group “Plan: lunch”",
        "+49 170 1234567 left",
        "Nachrichten und Anrufe sind Ende-zu-Ende-verschlüsselt.",
        "Ann hat den Betreff zu „Plan: Essen“ geändert.",
        "Los mensajes y las llamadas están cifrados de extremo a extremo.",
        "Les messages et appels sont chiffrés de bout en bout.",
        "As mensagens e ligações são protegidas",
        "I messaggi e le chiamate sono crittografati end-to-end.",
        "Сообщения и звонки защищены сквозным шифрованием.",
        f"Group name: {LRM}Messages and calls are end-to-end encrypted.",
        "Ann: Ann changed the group name to “Plan: lunch”",
        "Ann: changed the group name to “Plan: lunch”",
        "Ann: You changed this group's icon",
        "Ann: Ann hat den Gruppennamen zu „Plan: Essen“ geändert.",
        "Ann: Ann cambió el nombre del grupo a «Plan: comida»",
        "Ann: Ann a changé le nom du groupe en « Plan : midi »",
        "Ann: Ann mudou o nome do grupo para “Plano: almoço”",
        "Ann: Ann ha cambiato il nome del gruppo in “Piano”",
        "Ann: Waiting for this message. This may take a while.",
        "Ann: Your security code with Bo changed. Tap to learn more.",
    ],
)
def test_system_lines_are_left_out_and_counted(line: str) -> None:
    conversation = one(f"31/12/20, 21:40 - Bo: before\n31/12/20, 21:41 - {line}\n31/12/20, 21:42 - Ann: after\n")
    assert said(conversation) == [("Bo", "before"), ("Ann", "after")]
    assert conversation.warnings == ("left out: 1 system line",)


MEDIA = {
    "media message": [
        "<Media omitted>", "<Medien ausgeschlossen>", "<Multimedia omitido>", "<Médias omis>", "<Mídia oculta>",
        "<Media omessi>", "<Media weggelaten>", "<Medya dahil edilmedi>", "<Без медиафайлов>", "null",
    ],
    "picture": [
        f"{LRM}image omitted", f"{LRM}Bild weggelassen", "imagen omitida", "изображение опущено", "画像を省略",
        f"{LRM}<attached: 00000012-PHOTO-2020-12-31-21-41-05.jpg>", f"PHOTO-2018-01-02-10-20-30.jpg <{LRM}attached>",
        f"{LRM}<Anhang: 00000012-PHOTO-2020-12-31.jpg>", "IMG-20201231-WA0001.jpg (file attached)",
        "PHOTO-2018.jpg <adjunto>",
    ],
    "GIF": [f"{LRM}GIF omitted", "GIF weggelassen"],
    "sound": [f"{LRM}audio omitido", f"{LRM}PTT-20201231-WA0003.opus (Datei angehängt)", "Audio weggelassen"],
    "video": ["video omitted", "vidéo absente", "видео пропущено"],
    "sticker": ["sticker omitted", "figurinha omitida", "STK-20201231-WA0003.webp (archivo adjunto)"],
    "document": [f"{LRM}report.pdf • {LRM}3 pages {LRM}document omitted", "plan.pdf (file attached)"],
    "contact": ["Contact card omitted", "Bo.vcf (file attached)"],
    "view-once message": [
        "<View once voice message omitted>",
        "You received a view once message. For added privacy, open it on your phone.",
        "Foto zum einmaligen Anzeigen", "Foto para ver una vez",
    ],
    "deleted message": [
        "This message was deleted", "You deleted this message.", "Diese Nachricht wurde gelöscht.",
        "Eliminaste este mensaje.", "Это сообщение удалено", "此消息已删除", "Dit bericht is verwijderd",
    ],
    "call": ["Missed voice call", "Verpasster Videoanruf um 21:40", "Llamada perdida", "Appel vocal manqué"],
    "location": [
        "location: https://maps.google.com/?q=1.5,2.5", f"{LRM}Location: Café X (Main St 1): https://foursquare.com/v/1",
        "Standort: https://maps.google.com/?q=1,2", "Ubicación: https://maps.google.com/?q=1,2", "live location shared",
        "Live-Standort wird geteilt", "Localisation : https://maps.google.com/?q=1,2", "Konum: https://maps.google.com/?q=1",
    ],
    "poll": [],
    "empty message": ["", " ", LRM],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in MEDIA.items() for text in texts])
def test_what_nobody_said_is_left_out_and_counted_by_its_kind(kind: str, text: str) -> None:
    conversation = one(f"31/12/20, 21:40 - Bo: before\n31/12/20, 21:41 - Ann: {text}\n")
    assert said(conversation) == [("Bo", "before")]
    assert conversation.warnings == (f"left out: 1 {kind}",)
    assert conversation.extra == {"left_out": {kind: 1}}


@pytest.mark.parametrize(
    "poll",
    [
        f"POLL:\n{LRM}Where do we eat?\n{LRM}OPTION: At home ({LRM}2 votes)\n{LRM}OPTION: Out ({LRM}1 vote)",
        "UMFRAGE:\nWhere do we eat?\nOPTION: At home (2 Stimmen)\nOPTION: Out (1 Stimme)",
        "ENCUESTA: Where do we eat?\nOPCIÓN: At home (2 votos)\nOPCIÓN: Out (1 voto)",
    ],
)
def test_a_poll_is_its_question(poll: str) -> None:
    conversation = one(f"[31/12/20, 21:41:05] Ann: {LRM}{poll}\n[31/12/20, 21:42:05] Bo: home: always\n")
    assert said(conversation) == [("Ann", "Where do we eat?"), ("Bo", "home: always")]
    assert conversation.utterances[0].extra == {"media": "poll", "options": ["At home", "Out"]}


def test_a_list_of_ones_own_is_no_poll() -> None:
    text = "Plan:\nmonday: swim (2 hours)\ntuesday: rest (8 hours)"
    assert said(one(f"31/12/20, 21:41 - Ann: {text}\n")) == [("Ann", text)]


def test_an_export_in_which_nobody_says_anything_is_refused_with_the_counts() -> None:
    (wrong,) = parsed("31/12/20, 21:40 - Ann added Bo\n31/12/20, 21:41 - Ann: <Media omitted>\n")
    assert isinstance(wrong, Unreadable)
    assert wrong.line == 0
    assert wrong.reason == "nobody says anything in it; left out: 1 media message and 1 system line"


def test_a_caption_is_kept_with_the_name_of_its_file() -> None:
    android = one("31/12/20, 21:41 - Ann: IMG-20201231-WA0001.jpg (file attached)\nlook\nthere\n")
    ios = one(f"[31/12/20, 21:41:05] Ann: look\nthere {LRM}<attached: 00000012-PHOTO.jpg>\n")
    assert said(android) == said(ios) == [("Ann", "look\nthere")]
    assert android.utterances[0].extra == {"media": "IMG-20201231-WA0001.jpg"}
    assert ios.utterances[0].extra == {"media": "00000012-PHOTO.jpg"}


@pytest.mark.parametrize(
    "text",
    [
        "I left", "she added sugar", "He removed it: gone", "see main.py (very good)", "<3 <3", "<big hug>", "Null",
        "the image omitted a lot", "my plan: lunch", "12:30?", "http://example.org/a:b", '"so: what"',
        "Missed voice call? No, I was asleep and then I forgot all about it, sorry",
        "changed the group name, do you like it?", "I changed the group name to fun: see?", "Bo changed the group name",
        "here: https://maps.google.com/?q=1,2", "you can only view once what I sent you", "image omitted?",
        "location: the old mill", "Let us vote: tea (2 votes)",
    ],
)  # fmt: skip
def test_words_that_look_like_notices_are_kept(text: str) -> None:
    assert said(one(f"31/12/20, 21:41 - Ann: {text}\n")) == [("Ann", text)]


def test_on_ios_what_begins_with_a_mark_was_written_by_the_phone() -> None:
    text = f"[31/12/20, 21:41:05] Ann: {LRM}Dieser Hinweis steht in keiner Liste\n[31/12/20, 21:42:05] Bo: x\n"
    assert said(one(text)) == [("Bo", "x")]


def test_an_edited_message_loses_the_note_and_says_so() -> None:
    (utterance,) = one(f"31/12/20, 21:41 - Ann: new {LRM}<This message was edited>\n").utterances
    assert (utterance.text, utterance.extra) == ("new", {"edited": True})


def test_names_nobody_saved_lose_their_tilde() -> None:
    assert one(f"[31/12/20, 21:41:05] ~{NNBSP}Ann: x\n").speakers == ("Ann",)


def test_a_line_of_spaces_takes_no_time() -> None:
    one("31/12/20, 21:41 - Ann: x\n1/1/20" + " " * 200_000 + "\n" + string.printable * 500)
