"""What WhatsApp itself writes into an export, in the languages most exports are in.

On Android a notice has no name before it and is told by that in any language; on iOS most begin with a left-to-right
mark. These lists are for the rest: notices with a colon in them, and media that were left out of the export.
"""

import re

_MARK = "[\u200e\u200f\u202a-\u202e\u2066-\u2069]*"


def _any(*patterns: str) -> str:
    return "(?:" + "|".join(patterns) + ")"


MEDIA = re.compile(
    _any(
        r"(?-i:null)",
        # Android: one phrase for every kind
        r"<(?:[^<>\n]{1,20} omitted|Medien (?:ausgeschlossen|weggelassen)|Multimedia omitido|Archivo omitido|"
        r"Médias? omis|Fichier média omis|Mídia (?:oculta|omitida)|Arquivo de mídia oculto|Ficheiro não revelado|"
        r"Media omess[io]|Media weggelaten|Medya (?:dahil edilmedi|atlanmış)|Pominięto multimedia|"
        r"Multimedia pominięto|Без медиафайлов|Файл пропущен|Медіа пропущено|Media dilewatkan|"
        r"Media tidak disertakan|Médiafájl kihagyva|Média vynechány|Mediet utelämnat|Medier utelatt|"
        r"Media jätettiin pois|تم استبعاد الوسائط|فایل رسانه حذف شد|המדיה לא נכללה|मीडिया के बिना|媒体已忽略|"
        r"省略多媒體檔案|メディアなし|メディアは含まれていません|미디어 파일을 제외했습니다|미디어를 제외함)>",
        # iOS: a phrase for each kind
        r"(?:image|photo|video|video note|audio|sticker|GIF|document|contact card|media|picture) omitted",
        r"(?:Bild|Foto|Video|Videonachricht|Audio|Sticker|GIF|Dokument|Kontaktkarte) weggelassen",
        r"(?:imagen|foto|video|vídeo|audio|sticker|GIF|documento|tarjeta de contacto|Videomensaje) omitid[oa]s?",
        r"(?:imagem|foto|vídeo|áudio|figurinha|GIF|documento|cartão do contato) (?:ocultad[oa]|omitid[oa]|ocult[oa])",
        r"(?:image|photo|vidéo|audio|sticker|GIF|document|fiche contact) (?:absente?|omise?|omis)",
        r"(?:immagine|foto|video|audio|sticker|GIF|documento|scheda contatto) omess[oai]",
        r"(?:afbeelding|foto|video|audio|sticker|GIF|document|contactkaart) weggelaten",
        r"(?:görüntü|fotoğraf|video|ses|çıkartma|GIF|belge|kişi kartı) dahil edilmedi",
        r"[^\n]{1,120}\b(?:pages?|Seiten?|páginas?|pagine|pagina's)\b[^\n]{0,10}"
        r"(?:document omitted|Dokument weggelassen|documento omitido|document weggelaten|documento omesso)",
    ),
    re.IGNORECASE,
)
"""The whole text of a message that is a picture, a film, a sound … left out of the export."""

NOTICE = re.compile(
    _MARK
    + _any(
        r"Messages (?:and calls )?(?:you send to this (?:chat|group) (?:and calls )?)?are (?:now )?"
        r"(?:secured with )?end-to-end",
        r"Nachrichten (?:und Anrufe )?sind Ende-zu-Ende",
        r"Nachrichten (?:und Anrufe )?(?:in diesem Chat|an diese Gruppe)",
        r"Los mensajes y (?:las )?llamadas están cifrad[oa]s",
        r"Los mensajes (?:de este chat|que envías)",
        r"Les messages et (?:les )?appels sont chiffrés",
        r"Les messages (?:envoyés|que vous envoyez)",
        r"As mensagens e (?:as )?(?:ligações|chamadas) são protegidas",
        r"As mensagens (?:e ligações|desta conversa|que você envia)",
        r"I messaggi e le chiamate sono crittografati",
        r"Berichten en gesprekken (?:zijn|worden) (?:end-to-end|eind-tot-eind)",
        r"Mesajlar ve aramalar uçtan uca",
        r"Сообщения и звонки защищены",
        r"Wiadomości i połączenia (?:są )?(?:w pełni )?szyfrowane",
        r"(?:This message was deleted|You deleted this message)(?: by admin [^\n]{1,60})?\.?\s*$",
        r"(?:Diese Nachricht wurde gelöscht|Du hast diese Nachricht gelöscht)\.?\s*$",
        r"(?:Se eliminó este mensaje|Eliminaste este mensaje|Este mensaje fue eliminado)\.?\s*$",
        r"(?:Ce message a été supprimé|Vous avez supprimé ce message)\.?\s*$",
        r"(?:Mensagem apagada|Você apagou esta mensagem|Esta mensagem foi apagada)\.?\s*$",
        r"(?:Questo messaggio è stato eliminato|Hai eliminato questo messaggio)\.?\s*$",
        r"(?:Dit bericht is verwijderd|Je hebt dit bericht verwijderd|U hebt dit bericht verwijderd)\.?\s*$",
        r"(?:Bu mesaj silindi|Bu mesajı sildiniz)\.?\s*$",
        r"Waiting for this message",
        r"(?:Missed (?:group )?(?:voice|video) call|Verpasster? (?:Sprach|Video)anruf)\b[^\n]{0,30}$",
        r"(?:Llamada perdida|Videollamada perdida)\b[^\n]{0,30}$",
        r"(?:Appel (?:vocal|vidéo) manqué|Chamada de (?:voz|vídeo) perdida)\b[^\n]{0,30}$",
        r"Chiamata (?:vocale |video )?persa\b[^\n]{0,30}$",
        r"(?:Gemiste (?:spraak|video)oproep|Cevapsız (?:sesli|görüntülü) arama)\b[^\n]{0,30}$",
    ),
    re.IGNORECASE,
)
"""How the text of a message begins that WhatsApp wrote in somebody's name."""

ACTION = re.compile(
    # No colon may stand in the name of who did it: after one, the words are somebody's own ("Ann: he left").
    r"[^:\n]{1,100}? "
    + _any(
        r"(?:changed (?:the (?:subject|group|settings)|this group|to |their phone|from )|created (?:the |this )?group|"
        r"added |removed |left$|joined using|joined from|is now an admin|turned (?:on|off)|pinned a message)",
        r"(?:hat den Betreff|hat die Gruppe|hat das Gruppenbild|hat die Gruppenbeschreibung|wurde hinzugefügt)",
        r"(?:cambió (?:el asunto|la descripción|el ícono|a )|creó el grupo)",
        r"(?:a changé (?:l'objet|le sujet|l’objet|la description)|a créé le groupe)",
        r"(?:mudou (?:o nome|o assunto|a descrição|de )|alterou |criou o grupo)",
        r"(?:ha cambiato (?:l'oggetto|l’oggetto|il nome)|ha creato il gruppo)",
        r"(?:heeft (?:het onderwerp|de groep|de onderwerp)|konuyu |grup konusunu)",
    ),
    re.IGNORECASE,
)
"""How a whole line begins that says what somebody did to the group; it may hold a colon later on."""

EDITED = re.compile(
    rf"\s?{_MARK}<(?:This message was edited|Diese Nachricht wurde bearbeitet|Se editó este mensaje|Mensagem editada|"
    r"Ce message a été modifié|Questo messaggio è stato modificato|Dit bericht is bewerkt|Bu mesaj düzenlendi)>\s*$",
    re.IGNORECASE,
)
"""Stands behind the text of a message that was changed after it was sent."""

ATTACHED_WORDS = (
    r"file attached|Datei angehängt|archivo adjunto|fichier joint|arquivo anexado|ficheiro anexado|file allegato|"
    r"bestand bijgevoegd|dosya ekli|dołączony plik|файл добавлен|файл прикреплён|"
    r"附件檔案|文件附件|ファイル添付|파일 첨부됨|ملف مرفق|फ़ाइल अटैच की गई|קובץ מצורף|"
    r"bifogad fil|vedlagt fil|fil vedhæftet|liitetiedosto|file terlampir"
)
"""What stands in brackets after the name of a file that Android exported beside the text."""
