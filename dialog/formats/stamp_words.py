"""The words that stand in a date or a time, as closed lists: morning and evening, months, and what joins the two.

A closed list is what keeps a speaker's name from being taken for a part of the time.
"""

import re
import unicodedata

from dialog.formats.words import words


def key_of(marker: str) -> str:
    """A marker's letters alone: `p. m.` and `PM` are one."""
    return "".join(c for c in marker.casefold() if unicodedata.category(c)[0] in "LM")


AM = frozenset(
    words(
        "am a vorm vormittags morgens früh ap fm dop ам πμ ص صباحًا صباحا قظ öö 上午 午前 오전 凌晨 清晨 早上 sa "
        "पूर्वाह्न पू मपू prije prijepodne de pd pg до дпр пр проб дп претпл преподне לפנהצ damanhã "
        "damadrugada demañana delamañana delamadrugada matin priekšp priešpiet முற்பகல் পূর্বাহ্ণ ก่อนเที่ยง үө ጥዋት"
    )
)
"""Before noon, as `key_of` has it."""
PM = frozenset(
    words(
        "pm p nachm nachmittags abends ip em odp pop пм μμ م مساءً مساء بظ ös 下午 午後 오후 晚上 中午 傍晚 夜晚 ch "
        "अपराह्न मउ poslijepodne du md ptg после сл слоб пп попл поподне אחהצ datarde danoite "
        "delatarde delanoche soir pēcp popiet பிற்பகல் অপরাহ্ণ หลังเที่ยง үх ከሰዓት"
    )
)
"""After noon."""

_DOTS = r"[.\s'’׳״\"]{0,2}"
MARKER = "(?:" + "|".join(_DOTS.join(map(re.escape, key)) for key in sorted(AM | PM, key=len, reverse=True)) + r")\.?"
"""Any of them as a pattern, with or without dots and spaces."""

_MONTHS = (
    "january jan januar january janvier janv enero ene janeiro gennaio gen januari ocak oca января янв січня styczeń "
    "stycznia sty leden ledna tammikuu tammikuuta január ianuarie",
    "february feb februar février févr fevr febrero fevereiro fev febbraio februari şubat şub февраля фев лютого luty "
    "lutego lut února únor helmikuu helmikuuta február februarie",
    "march mar märz mrz mars marzo março maart mrt mart марта мар березня marzec marca březen března maaliskuu "
    "maaliskuuta marec március martie",
    "april apr avril avr abril abr aprile nisan nis апреля апр квітня kwiecień kwietnia kwi dubna duben huhtikuu "
    "huhtikuuta apríl április aprilie",
    "may mai mayo maio maggio mag mei mayıs maj мая май травня maja květen května toukokuu toukokuuta máj május",
    "june jun juni juin junio junho giugno giu haziran haz июня июн червня czerwiec czerwca cze června červen kesäkuu "
    "kesäkuuta jún június iunie",
    "july jul juli juillet juil julio julho luglio lug temmuz tem июля июл липня lipiec lipca lip července červenec "
    "heinäkuu heinäkuuta júl július iulie",
    "august aug août aout agosto ago augustus ağustos ağu августа авг серпня sierpień sierpnia sie srpna srpen elokuu "
    "elokuuta augusti",
    "september sep sept septembre septiembre setembro set settembre eylül eyl сентября сен сент вересня wrzesień "
    "września wrz září syyskuu syyskuuta szeptember septembrie",
    "october oct oktober okt octobre octubre outubro out ottobre ott ekim eki октября окт жовтня październik "
    "października paź října říjen lokakuu lokakuuta október octombrie",
    "november nov novembre noviembre novembro kasım kas ноября ноя листопада listopad listopada lis marraskuu "
    "marraskuuta noiembrie",
    "december dec dez dezember décembre déc diciembre dic dezembro dicembre aralık ara декабря дек грудня grudzień "
    "grudnia gru prosinec prosince joulukuu joulukuuta decembrie",
)
MONTHS = {name: i for i, names in enumerate(_MONTHS, 1) for name in words(names)}
"""A month's name, or its short form without the dot, to its number."""

BETWEEN = (
    r"(?:(?:at|um|klo|kl|ore|om|às|as|a las?|à|a|alle|o|ob|об|в|о|u|у|på|la|ve|saat|lúc|pukul|jam|الساعة|في|בשעה|ב-?|"
    r"को)\.?\s|T(?=\d))"
)
"""What joins a date and a time, with the space after it."""
YEAR_TAIL = r"(?:\s?(?:г|р|ж|года?|року|y|m|e|sz)\.?(?![^\W\d_]))"
"""What stands behind a year."""
CLOCK_TAIL = r"(?:\s?(?:h|hs|hrs?|Uhr|uur|óra|ч|год|Std)\.?(?![^\W\d_]))"
"""What stands behind a time of day."""
