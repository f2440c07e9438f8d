"""Which encoding a file is in that is not UTF-8: Windows-1252 where the text is plainly Western, else a question.

A wrong guess makes nonsense of every word and says nothing, so only what bears reading is read: Western texts have
their accents one at a time, inside words of plain letters.
"""

import codecs
import re

from charset_normalizer import from_bytes

_SAMPLE = 64 * 1024
_NAMES = {
    "cp932": "shift_jis",
    "cp949": "euc_kr",
    "cp936": "gb18030",
    "big5hkscs": "big5",
    "johab": "euc_kr",
    "euc_jis_2004": "euc_jp",
    "shift_jis_2004": "shift_jis",
    "iso8859_1": "cp1252",
    "latin_1": "cp1252",
}
_KNOWN = re.compile(
    r"cp(?:125\d|85[0258]|86[0-9]|874|437|737|775)|iso8859_\d+|koi8_[rut]|mac_roman|mac_cyrillic|tis_620"
)
_ASIAN = ("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr")
_INSIDE = re.compile(r"(?<=[^\W\d_])[¹²³¼½¾¶±¤¦§¨¯¸¢£¥¬]+(?=[^\W\d_])")
"""Signs that stand inside no word, but which Polish and others become."""
_DOUBTED = 0.15  # of the characters that are not plain


def question(data: bytes) -> str | None:
    """What to ask about bytes of which some are no UTF-8; None where they are Western, or UTF-8 with scratches."""
    odd = [line for line in data.split(b"\n") if not line.isascii()]
    broken = [line for line in odd if not _is_utf8(line)]
    if not broken or 2 * len(broken) < len(odd):
        return None
    sample = b"\n".join(broken)[:_SAMPLE]
    if not _is_doubtful(sample.decode("cp1252", "replace")):
        return None
    candidates = _candidates(sample)
    could = f"; it could be {' or '.join(candidates)}" if candidates else ""
    return f"not UTF-8, and no Western text in Windows-1252{could}: say which encoding it is"


def known(name: str) -> str:
    """The encoding of that name. Raises ValueError for one there is not, or that is not one of texts."""
    try:
        b"a".decode(name, "replace")  # `hex` and others are known too, but make bytes of bytes
        return codecs.lookup(name).name
    except (LookupError, ValueError):  # a NUL in it
        raise ValueError(f"unknown encoding {name!r}; expected one such as utf-8, cp1251, shift_jis, gb18030") from None


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_doubtful(text: str) -> bool:
    """Whether a text read as Windows-1252 has the looks of another encoding."""
    odd = [i for i, c in enumerate(text) if not c.isascii()]
    if "\ufffd" in text or _INSIDE.search(text) or _is_odd_company(set(text)):
        return True
    icelandic = any(c in "áéíóúÁÉÍÓÚ" for c in text)
    doubts = 0
    for i in odd:
        c, before, after = text[i], text[i - 1 : i] or " ", text[i + 1 : i + 2] or " "
        inside = before.isalpha() and after.isalpha()
        doubts += (
            (inside and not c.isalpha() and c not in "’‘´·­")
            or (c.isupper() and before.islower())
            or (c in "ðýþÐÝÞ" and not icelandic)
            or (inside and not before.isascii() and not after.isascii())
        )
    return doubts > _DOUBTED * len(odd)


def _is_odd_company(letters: set[str]) -> bool:
    """Letters no Western language has together, but which Czech and Hungarian become."""
    czech = "ø" in letters and letters & set("ìùè")
    hungarian = "õ" in letters and letters & set("öü") and not letters & set("äã")
    return bool(czech or hungarian)


def _candidates(sample: bytes) -> list[str]:
    """The likeliest encodings, three at most."""
    names = [_NAMES.get(match.encoding, match.encoding) for match in from_bytes(sample)]
    fitting = [n for n in names if n in _ASIAN or (_KNOWN.fullmatch(n) and n != "cp1252")]
    return list(dict.fromkeys(fitting))[:3]
