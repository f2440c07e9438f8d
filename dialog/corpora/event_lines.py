"""What people would feel when something happens, as lines of a chat: event2mind's events put into somebody's mouth.

"PersonX loses PersonX's job", after which people would feel "sad", "worried", "upset", becomes "I lost my job" with a
third of fear and the rest sadness. The words come from the annotators and are free; those that are none of the list
below count for nothing, and an event of which none is left is left out.
"""

import re
from collections.abc import Mapping, Sequence


def _split(words: str) -> list[str]:
    return words.split()


# Calm satisfaction is what most annotators write of most errands ("buys milk": "satisfied"): in a chat nobody hears it.
_MILD = _split(
    "happy satisfied accomplished good content pleased glad better nice fine great relieved helpful confident fun"
)
_WORDS: dict[str, str] = {
    "joy": "excited proud hopeful grateful thankful joyful elated delighted loved loving thrilled amused ecstatic "
    "lucky overjoyed cheerful joyous joy happiness love triumphant victorious exhilarated enthusiastic blissful giddy "
    "flattered honored relief",
    "sadness": "sad disappointed lonely depressed hurt unhappy guilty ashamed embarrassed embarassed regretful sorry "
    "remorseful miserable hopeless defeated heartbroken devastated regret lost sorrow grief bad terrible awful "
    "rejected alone homesick humiliated crushed dejected",
    "fear": "nervous scared worried anxious afraid terrified frightened fearful apprehensive alarmed uneasy fear "
    "panicked panicky threatened worry tense unsafe intimidated dread",
    "anger": "angry annoyed frustrated mad irritated furious vengeful anger enraged outraged resentful betrayed "
    "bitter aggravated impatient hostile offended",
    "disgust": "disgusted grossed repulsed sickened nauseated nauseous revolted disgust gross",
    "surprise": "surprised shocked amazed astonished stunned startled astounded disbelief",
    "neutral": "none neutral responsible determined interested informed smart eager useful prepared ready healthy "
    "clean normal busy productive refreshed knowledgeable rested comfortable competent hungry full indifferent calm "
    "organized dutiful educated focused aware okay ok nothing tired thirsty sleepy safe curious warm cautious",
}
_FEELING = {word: label for label, words in _WORDS.items() for word in _split(words)}


def feelings(words: Sequence[str]) -> Mapping[str, float]:
    """How much of each of Ekman's labels the annotators' words are, summing to 1; empty where none is known."""
    found: dict[str, float] = {}
    for answer in words:
        for word in re.findall(r"[a-z]+", answer.lower()):
            told = {"neutral": 0.6, "joy": 0.4} if word in _MILD else {_FEELING[word]: 1.0} if word in _FEELING else {}
            for label, share in told.items():
                found[label] = found.get(label, 0.0) + share
            if told:
                break  # One word an answer: "happy to be able to help" is one feeling.
    total = sum(found.values())
    return {label: count / total for label, count in found.items()} if total else {}


def first_person(event: str) -> str | None:
    """The event as its PersonX would tell it ("I lost my job"), or None where that cannot be made of it."""
    told = _told(event, "I", "my", "me", "myself")
    return told if told is None or "I " in told else None


def third_person(event: str, subject: str) -> str | None:
    """The event as told of somebody (`he`, `she`, `my brother`): "my brother lost his job"."""
    if subject.split()[-1] in ("she", "sister", "mum", "mom", "wife", "daughter", "girlfriend", "aunt"):
        return _told(event, subject, "her", "her", "herself")
    return _told(event, subject, "his", "him", "himself")


def _told(event: str, subject: str, possessive: str, obj: str, own: str) -> str | None:
    if "___" in event or not event.startswith("PersonX ") or "PersonZ" in event:
        return None
    words = event.split()[1:]
    verb = next((i for i, w in enumerate(words) if not w.endswith("ly") and w not in ("always", "never", "also")), None)
    if verb is None:
        return None
    words[verb] = past(words[verb])
    if subject != "I" and words[verb] == "were":
        words[verb] = "was"
    text = f"{subject} {' '.join(words)}"
    text = re.sub(r"PersonX's", possessive, text)
    text = re.sub(r"PersonX (himself|herself|themselves)", own, text)
    text = re.sub(r"PersonX", obj, text)
    text = re.sub(r"\b(his|her|their) own\b", f"{possessive} own", text)
    return re.sub(r"PersonY", "my friend", text).replace(" 's", "'s")


_IRREGULAR = dict(
    pair.split(":")
    for pair in _split("""
be:was is:was are:were has:had have:had do:did does:did go:went goes:went get:got gets:got make:made take:took
come:came become:became see:saw know:knew give:gave find:found think:thought tell:told say:said feel:felt leave:left
put:put keep:kept let:let begin:began show:showed hear:heard run:ran bring:brought write:wrote sit:sat stand:stood
lose:lost pay:paid meet:met set:set lead:led understand:understood speak:spoke read:read spend:spent grow:grew win:won
teach:taught buy:bought send:sent build:built fall:fell cut:cut sell:sold draw:drew break:broke drive:drove wear:wore
hit:hit rise:rose catch:caught fight:fought throw:threw hold:held eat:ate drink:drank sleep:slept forget:forgot
hide:hid sing:sang swim:swam ride:rode fly:flew shake:shook steal:stole bite:bit blow:blew choose:chose freeze:froze
hurt:hurt quit:quit bet:bet lend:lent light:lit lie:lied lay:laid shoot:shot shut:shut wake:woke tear:tore swear:swore
stick:stuck strike:struck sweep:swept swing:swung dig:dug feed:fed flee:fled bend:bent bleed:bled burst:burst cost:cost
deal:dealt dream:dreamt hang:hung kneel:knelt seek:sought shine:shone spit:spat split:split spread:spread spring:sprang
sink:sank slide:slid spin:spun sting:stung stink:stank weep:wept wind:wound withdraw:withdrew overcome:overcame
beat:beat forgive:forgave undergo:underwent mistake:mistook can:could will:would must:had would:would could:could
should:should might:might
""")
)
_DOUBLED = frozenset(
    _split(
        "stop plan drop grab rub slip trip hug chat jog beg rip step pop nod shop wrap tap clap rob pat pet pin zip "
        "ban bat"
        "chop drag fit flip hop knit mop plug scrub ship skip snap stir strip swap tip trim wag whip admit refer "
        "prefer"
        "commit regret permit submit occur"
    )
)


def past(verb: str) -> str:
    """The past tense of a verb in the third person singular or bare: `loses` and `lose` give `lost`."""
    bare = verb
    if verb.endswith("n't"):
        return "didn't" if verb in ("doesn't", "don't") else verb
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("ies") and len(verb) > 4:
        bare = verb[:-3] + "y"
    elif re.search(r"(ss|sh|ch|x|zz|o)es$", verb):
        bare = verb[:-2]
    elif verb.endswith("s") and not verb.endswith("ss"):
        bare = verb[:-1]
    if bare in _IRREGULAR:
        return _IRREGULAR[bare]
    if bare.endswith("e"):
        return bare + "d"
    if re.search(r"[^aeiou]y$", bare):
        return bare[:-1] + "ied"
    return f"{bare}{bare[-1]}ed" if bare in _DOUBLED else f"{bare}ed"
