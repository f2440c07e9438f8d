"""What WhatsApp itself writes into an export, in the languages most exports are in.

On Android a notice has no name before it and is told by that in any language; on iOS most begin with a left-to-right
mark. These lists are for the rest: notices with a colon in them, and those that stand under somebody's name. Media
have lists of their own (`whatsapp_media`).
"""

import re

from dialog.formats.left_out import CALL, DELETED, LOCATION, SYSTEM

_MARK = "[\u200e\u200f\u202a-\u202e\u2066-\u2069]*"


def _any(*patterns: str) -> str:
    return "(?:" + "|".join(patterns) + ")"


_DELETED = _any(
    r"(?:This message was deleted|You deleted this message)(?: by admin [^\n]{1,60})?",
    r"(?:Diese Nachricht wurde (?:von Admin [^\n]{1,60} )?gelöscht|Du hast diese Nachricht gelöscht)",
    r"(?:Se eliminó este mensaje|Eliminaste este mensaje|Este mensaje fue eliminado|Has eliminado este mensaje)",
    r"(?:Ce message a été supprimé|Vous avez supprimé ce message)",
    r"(?:Mensagem apagada|Você apagou esta mensagem|Esta mensagem foi apagada|Apagou esta mensagem|"
    r"Apaguei esta mensagem)",
    r"(?:Questo messaggio è stato eliminato|Hai eliminato questo messaggio)",
    r"(?:Dit bericht is verwijderd|Je hebt dit bericht verwijderd|U hebt dit bericht verwijderd)",
    r"(?:Bu mesaj silindi|Bu mesajı sildiniz)",
    r"(?:Это сообщение удалено|Данное сообщение удалено|Вы удалили (?:это|данное) сообщение|Сообщение удалено)",
    r"(?:Це повідомлення видалено|Ви видалили це повідомлення)",
    r"(?:Ta wiadomość została usunięta|Usunięto tę wiadomość|Usunąłeś tę wiadomość)",
    r"(?:Detta meddelande raderades|Du raderade detta meddelande)",
    r"(?:Denne beskeden ble slettet|Denne besked blev slettet|Du slettede denne besked)",
    r"(?:Tämä viesti poistettiin|Poistit tämän viestin)",
    r"(?:Pesan ini telah dihapus|Anda menghapus pesan ini)",
    r"(?:此消息已删除|您删除了此消息|此訊息已刪除|您已刪除此訊息|このメッセージは削除されました|"
    r"메시지가 삭제되었습니다|이 메시지는 삭제되었습니다|삭제된 메시지입니다)",
    r"(?:تم حذف هذه الرسالة|حذفتَ هذه الرسالة|הודעה זו נמחקה|מחקת הודעה זו|यह संदेश हटाया गया|यह मैसेज हटा दिया गया है)",
)
_CALLS = _any(
    r"(?:Missed (?:group )?(?:voice|video) call|Verpasster? (?:Sprach|Video)anruf)\b",
    r"(?:Llamada (?:de voz |de grupo )?perdida|Videollamada perdida)\b",
    r"(?:Appel (?:vocal|vidéo) manqué|Chamada de (?:voz|vídeo) perdida)\b",
    r"(?:Chiamata|Videochiamata) (?:vocale |video )?persa\b",
    r"(?:Gemiste (?:spraak|video)oproep|Cevapsız (?:sesli|görüntülü) arama)\b",
    r"(?:Пропущенный (?:аудио|видео)?звонок|Nieodebrane połączenie)\b",
    r"(?:未接(?:语音|視訊|视频|語音)通[话話]|不在着信|부재중)",
)
_LOCATIONS = _any(
    r"(?:location|Standort|Ubicación|Localisation|Position|Localização|Posizione|Locatie|Konum|Местоположение|"
    r"Геопозиция|Lokalizacja|Plats|Posisjon|Placering|Sijainti|Lokasi|位置|位置情報|위치|الموقع|מיקום)"
    r"\s?[:：]\s?[^\n]{0,150}https?://\S+",
    r"(?:live location shared|Live-Standort (?:wird )?geteilt|Ubicación en tiempo real compartida|"
    r"(?:Localisation|Position) en direct partagée|Localização (?:em tempo real|atual) (?:compartilhada|partilhada)|"
    r"Posizione (?:attuale|in tempo reale) condivisa|Live ?locatie gedeeld|Canlı konum paylaşıldı|"
    r"Трансляция геоданных)",
)
NOTICES = {
    DELETED: re.compile(rf"{_MARK}{_DELETED}[.。]?{_MARK}\s*$", re.IGNORECASE),
    CALL: re.compile(rf"{_MARK}{_CALLS}[^\n]{{0,30}}$", re.IGNORECASE),
    LOCATION: re.compile(rf"{_MARK}{_LOCATIONS}\s*$", re.IGNORECASE),
    SYSTEM: re.compile(
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
            r"Meddelanden och samtal är (?:totalsträckskrypterade|krypterade)",
            r"Viestit ja puhelut ovat päästä päähän",
            r"Pesan dan panggilan terenkripsi",
            r"(?:消息和通话已进行端到端加密|訊息和通話經端對端加密|メッセージと通話はエンドツーエンド|"
            r"메시지와 통화는 종단간 암호화)",
            r"الرسائل والمكالمات مشفرة",
            r"Waiting for this message",
            r"Auf diese Nachricht (?:wird gewartet|warten)",
            r"Esperando (?:este|el) mensaje",
            r"Your security code with [^\n]{1,100} changed",
            r"This (?:business|chat) (?:is|uses|works)\b[^\n]{0,120}(?:WhatsApp|secure service)",
        ),
        re.IGNORECASE,
    ),
}
"""How the text of a message begins that WhatsApp wrote in somebody's name, by what it is counted as."""

_DEED = _any(
    r"(?:changed (?:the (?:subject|group(?:'s|’s)? ?(?:name|icon|photo|picture|description|settings)?)|this group|"
    r"to |their phone|from )|created (?:the |this )?group|"
    r"added |removed |left$|joined using|joined from|is now an admin|turned (?:on|off)|pinned a message)",
    r"(?:hat den Betreff|hat den Gruppennamen|hat die Gruppe|hat das Gruppenbild|hat die Gruppenbeschreibung|"
    r"wurde hinzugefügt)",
    r"(?:cambió (?:el (?:asunto|nombre|ícono|icono)|la (?:descripción|foto)|a )|creó el grupo)",
    r"(?:a changé (?:l'objet|le (?:sujet|nom)|l’objet|la description|l’icône|l'icône)|a (?:modifié|changé) le nom|"
    r"a créé le groupe)",
    r"(?:mudou (?:o nome|o assunto|a descrição|a imagem|de )|alterou |criou o grupo)",
    r"(?:ha (?:cambiato|modificato) (?:l'oggetto|l’oggetto|il nome|la descrizione|l’immagine)|ha creato il gruppo)",
    r"(?:heeft (?:het onderwerp|de groep|de onderwerp|de naam)|konuyu |grup (?:konusunu|adını|açıklamasını))",
    r"(?:изменил[аи]?(?:\(а\))? (?:тему|название|описание|иконку|картинку)|создал[аи]?(?:\(а\))? группу)",
    r"(?:zmienił[a]?(?:\(a\))? (?:temat|nazwę|opis|ikonę)|utworzył[a]? grupę)",
)
ACTION = re.compile(
    # No colon may stand in the name of who did it: after one, the words are somebody's own ("Ann: he left").
    rf"[^:\n]{{1,100}}? {_DEED}",
    re.IGNORECASE,
)
"""How a whole line begins that says what somebody did to the group; it may hold a colon later on."""

_GROUP_DEED = _any(
    r"changed (?:the|this) (?:subject|group(?:'s|’s)? (?:name|icon|photo|picture|description|settings))",
    r"hat (?:den Betreff|den Gruppennamen|das Gruppenbild|die Gruppen(?:beschreibung|einstellungen))",
    r"(?:cambió|cambiaste|has cambiado|ha cambiado) (?:el (?:asunto|nombre|ícono|icono) (?:de(?:l| este) grupo)?|"
    r"la (?:descripción|foto) del grupo)",
    r"(?:a|avez) (?:changé|modifié) (?:l['’]objet|le (?:sujet|nom) du groupe|l['’]icône|la description du groupe)",
    r"(?:mudou|alterou) (?:o (?:nome|assunto)|a (?:descrição|imagem|foto)) (?:do|deste|desse) grupo",
    r"ha (?:cambiato|modificato) (?:l['’]oggetto|il nome del gruppo|la descrizione del gruppo|l['’]immagine)",
    r"(?:heeft|hebt) (?:het onderwerp|de (?:groepsnaam|naam|groepsafbeelding|groepsbeschrijving))",
    r"grup (?:konusunu|adını|açıklamasını|simgesini)",
    r"изменил[аи]?(?:\(а\))? (?:тему|название|описание|иконку|картинку)",
    r"zmienił[a]?(?:\(a\))? (?:temat|nazwę|opis|ikonę) grupy",
)
OWN_ACTION = re.compile(
    rf"(?:(?P<who>[^:\n]{{1,100}}?) {_GROUP_DEED}|{_GROUP_DEED}[^\n]{{0,40}}[\"“„«『「'‘])", re.IGNORECASE
)
"""How a notice about the group begins that stands under a person's name: who did it, or nobody and then the new name
in quotation marks."""

EDITED = re.compile(
    rf"\s?{_MARK}<{_MARK}(?:This message was edited|Diese Nachricht wurde bearbeitet|Se editó este mensaje|"
    r"Mensagem editada|Esta mensagem foi editada|Ce message a été modifié|Questo messaggio è stato modificato|"
    r"Dit bericht is bewerkt|Bu mesaj düzenlendi|Сообщение изменено|Это сообщение изменено|Ta wiadomość była edytowana|"
    rf"Pesan ini diedit|此消息已编辑|此訊息已編輯|このメッセージは編集されました)\.?>{_MARK}\s*$"
    r"|\s?\u200e<[^<>:\n]{4,60}>\s*$",
    re.IGNORECASE,
)
"""Stands behind a message that was changed after it was sent; iOS sets it off by a mark in every language."""
