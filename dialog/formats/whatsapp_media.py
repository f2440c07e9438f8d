"""Media in a WhatsApp export: what was left out of it, and files that lie beside it.

iOS has a phrase for every kind and language, Android one for all kinds. The lists hold the languages most exports are
in; a file that lies beside the text is told by its name.
"""

import re
from typing import NamedTuple

from dialog.formats.left_out import (
    CONTACT,
    DOCUMENT,
    GIF,
    HIDDEN,
    MEDIA,
    PICTURE,
    SOUND,
    STICKER,
    VIDEO,
    kind_of_file,
)
from dialog.formats.stamp import without_marks

_KINDS = {
    VIDEO: (
        "video note|video message|video|vídeo|vidéo|Videonachricht|Videomensaje|mensaje de video|видео|відео|"
        "wideo|film|视频|影片|動画|동영상|فيديو|סרטון|वीडियो"
    ),
    SOUND: (
        "audio|audio message|voice message|Sprachnachricht|Audiodatei|áudio|ses kaydı|ses|spraakbericht|аудио|"
        "голосовое сообщение|аудіо|dźwięk|ljud|lyd|音频|语音消息|音訊|音声|오디오|صوت|קובץ קול|ऑडियो"
    ),
    STICKER: (
        "sticker|figurinha|çıkartma|autocollant|стикер|наклейка|naklejka|贴图|貼圖|スタンプ|스티커|ملصق|סטיקר|स्टिकर"
    ),
    GIF: "GIF",
    DOCUMENT: "document|Dokument|documento|belge|документ|dokument|文档|文件|書類|문서|مستند|מסמך|दस्तावेज़",
    CONTACT: (
        "contact card|contact|Kontaktkarte|tarjeta de contacto|cartão do contato|fiche contact|scheda contatto|"
        "contactkaart|kişi kartı|карточка контакта|wizytówka|联系人名片|連絡先カード|연락처"
    ),
    PICTURE: (
        "image|photo|picture|Bild|Foto|imagen|imagem|immagine|afbeelding|görüntü|resim|fotoğraf|изображение|фото|"
        "зображення|obraz|zdjęcie|grafika|bild|bilde|billede|图像|图片|圖片|画像|이미지|사진|صورة|תמונה|फ़ोटो|चित्र"
    ),
}
_OMITTED = (
    "omitted|weggelassen|ausgelassen|omitid[oa]s?|ocultad[oa]|ocult[oa]|absente?|omise?s?|omess[oaie]|weggelaten|"
    "dahil edilmedi|atlanmış|пропущен[оаы]?|опущен[оаы]?|пропущено|pominięt[oaye]|utelämnad|utelämnat|utelatt|udeladt|"
    "jätetty pois|已忽略|已省略|を省略|は省略されました|省略|생략됨|제외됨|محذوف[ة]?|הושמטה?|छोड़ा गया|छोड़ी गई"
)
_KIND_OF = {kind: re.compile(names, re.IGNORECASE) for kind, names in _KINDS.items()}
_LEFT_OUT = re.compile(
    rf"<?(?P<kind>{'|'.join(_KINDS.values())})\s?(?:{_OMITTED})>?"
    r"|[^\n]{1,120}\b(?P<pages>pages?|Seiten?|páginas?|pagine|pagina's|sayfa|страниц\w?|stron\w?)\b[^\n]{0,10}?"
    rf"(?:{_KINDS[DOCUMENT]})\s?(?:{_OMITTED})",
    re.IGNORECASE,
)
_ANY_KIND = re.compile(
    r"(?-i:null)|<(?:[^<>\n]{1,30} omitted|Medien (?:ausgeschlossen|weggelassen)|Multimedia omitido|Archivo omitido|"
    r"Médias? omis|Fichier média omis|Mídia (?:oculta|omitida)|Arquivo de mídia oculto|Ficheiro não revelado|"
    r"Media omess[io]|Media weggelaten|Medya (?:dahil edilmedi|atlanmış)|Pominięto multimedia|Multimedia pominięto|"
    r"Без медиафайлов|Файл пропущен|Медіа пропущено|Media dilewatkan|Media tidak disertakan|Médiafájl kihagyva|"
    r"Média vynechány|Mediet utelämnat|Medier utelatt|Mediefil udeladt|Media jätettiin pois|تم استبعاد الوسائط|"
    r"فایل رسانه حذف شد|המדיה לא נכללה|मीडिया के बिना|媒体已忽略|忽略多媒体文件|省略多媒體檔案|メディアなし|"
    r"メディアは含まれていません|미디어 파일을 제외했습니다|미디어를 제외함|Media omisă|Παραλείφθηκαν πολυμέσα|"
    r"Bỏ qua phương tiện|ไฟล์สื่อถูกละไว้|Multimèdia omès|Mitjans omesos)>|media omitted",
    re.IGNORECASE,
)
_ONCE = re.compile(
    r"[^\n]{0,60}\b(?:view[- ]once|einmal(?:ige|ig)? (?:ansehen|anzeigen)|(?:zum )?einmaligen? (?:Ansehen|Anzeigen)|"
    r"ver una (?:sola )?vez|visualización única|vue unique|visualização única|visualizza una volta|"
    r"visualizzazione singola|eenmalig\w*|tek (?:seferlik|gösterimlik)|однократн\w+ просмотр\w*|jednorazow\w+)\b"
    r"[^\n]{0,90}",
    re.IGNORECASE,
)
_ONCE_OPENS = re.compile(
    r"<|you (?:received|sent) a|view once (?:photo|video|voice|message)|du hast|has recibido|recibiste|enviaste|"
    r"vous avez|você (?:recebeu|enviou)|hai (?:ricevuto|inviato)|je (?:hebt|ontving)|tek |einmal|mensaje para|"
    r"(?:foto|video|vídeo|photo|message|mensagem|messaggio|bericht)\b",
    re.IGNORECASE,
)
_ATTACHED = (
    "file attached|Datei angehängt|archivo adjunto|fichier joint|arquivo anexado|ficheiro anexado|file allegato|"
    "bestand bijgevoegd|dosya ekli|dołączony plik|файл добавлен|файл прикреплён|附件檔案|文件附件|ファイル添付|"
    "파일 첨부됨|ملف مرفق|फ़ाइल अटैच की गई|קובץ מצורף|bifogad fil|vedlagt fil|fil vedhæftet|liitetiedosto|"
    "file terlampir"
)
_MARKS = "[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff]*"
_FILE = r"[^<>:\n]{1,200}\.\w{2,5}"
_IOS_FILE = re.compile(rf"{_MARKS}<{_MARKS}[^<>:\n]{{2,30}}: ?(?P<file>{_FILE})>")
_OLD_IOS_FILE = re.compile(
    rf"{_MARKS}(?P<file>{_FILE}) <{_MARKS}(?:attached|angehängt|adjunto|joint|anexado|allegato|bijgevoegd|ekli|"
    rf"załączono|прикреплено|вложение)>"
)
_ANDROID_FILE = re.compile(
    rf"{_MARKS}(?:(?P<file>{_FILE}) \((?:{_ATTACHED})\)|"
    r"(?P<made>(?:IMG|VID|AUD|PTT|STK|DOC)-\d{8}-WA\d{4,}\.\w{2,5}) \([^()\n]{2,40}\))(?:\n|$)"
)


class Attachment(NamedTuple):
    """A file beside the export: its name, what was written under it, and its kind."""

    file: str
    caption: str
    kind: str


def media_kind(text: str) -> str:
    """The kind of thing that was left out of the export, where a message without marks says nothing else; or ""."""
    if match := _LEFT_OUT.fullmatch(text):
        if match["pages"]:
            return DOCUMENT
        return next(kind for kind, names in _KIND_OF.items() if names.fullmatch(match["kind"]))
    if _ANY_KIND.fullmatch(text):
        return HIDDEN if "once" in text.casefold() else MEDIA
    return HIDDEN if _ONCE_OPENS.match(text) and _ONCE.fullmatch(text) else ""


def attachment_of(text: str) -> Attachment | None:
    """The file a message came with; None where there is none."""
    match = _IOS_FILE.search(text) or _OLD_IOS_FILE.match(text) or _ANDROID_FILE.match(text)
    if match is None:
        return None
    file = without_marks(match.groupdict().get("made") or match["file"]).strip()
    return Attachment(
        file=file,
        caption=(text[: match.start()] + text[match.end() :]).strip(),
        kind=STICKER if file.lower().endswith(".webp") else kind_of_file(file),
    )
