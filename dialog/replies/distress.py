"""What is said to somebody who despairs, or is worn out: by the words of a message, in sentences of the program's own.

No reply that people wrote about a missed bus will do here. The answers say that it was heard, ask or send to people who
can help, and neither judge how ill anybody is nor promise anything. Phrases find plain words and no others, and what
they find may be a figure of speech: a kind answer to one of those does no harm.
"""

import re

CARE = (
    "I'm glad you told me, and I'm sorry that it hurts so much. I'm a program, and cannot help with that. Please talk "
    "to somebody you trust now, or call your emergency number.",
    "You should not have to be alone with this. Please tell somebody you trust, or call your emergency number. I'm "
    "only a program, and cannot do what they can.",
)
"""What is said where a message may speak of self-harm."""
DARK = (
    "I'm sorry that it's so bad. I'm only a program, so please tell somebody you trust how you feel. If you think of "
    "hurting yourself, call your emergency number.",
    "That sounds very dark to be alone with. Is there somebody you can call or go to, today? In danger, call your "
    "emergency number.",
)
"""To a message that may hint at it."""
DESPAIRING = (
    "That sounds really hard, and I'm sorry you feel like that. Do you want to tell me what is weighing on you most?",
    "I'm sorry. It must be hard to go on with a feeling like that. Is there somebody near you who knows of it?",
    "You don't have to pretend that it's all right. I'm only a program, but I'm listening. Somebody you trust should "
    "hear it too.",
)
"""To somebody who sees no hope, or no worth in themselves."""
WORN_OUT = (
    "That sounds exhausting. What has been taking so much out of you?",
    "No wonder, if it goes on and on. Is there anything that you could put down for a while, or anybody to take a part "
    "of it?",
    "I hope that you can rest soon. Does somebody know how tired you are?",
)
"""To somebody who has no strength left."""

_VERY = r"(?:so |really |very |too |just |completely |totally |absolutely |utterly |always |still |all |quite )*"
_I_AM = rf"\b(?:i am|i'm|im|i feel|i'm feeling|i've been|i have been|feeling) {_VERY}"
_NOBODY = r"(?:nobody|no one|no-one|noone)"
_LONGER = r"(?:anymore|any more|any longer)"
_PEOPLE = r"(?:everyone|everybody|the world|they|people|my family|my (?:kids|parents|friends|wife|husband))"
_DARK = (
    r"\b(?:just |really )?(?:want|wanna|wish i could)(?: to)? (?:just )?(?:disappear|vanish|sleep forever|cease to "
    r"exist|stop existing|be gone)\b(?! (?:into|in|from|for a|to)\b)",
    r"\b(?:wish|want|wanna|hope)\b[^.!?]{0,40}\b(?:never|not) (?:have to )?wake up\b",
    r"\bi feel like dying\b(?! of| laughing)|\bi(?:'m| am) (?:so )?done with (?:life|living|this life|everything)\b",
    r"\bi (?:just |only )?want (?:it|this|everything|the pain|it all) (?:all )?to (?:stop|end|be over)\b",
    r"\bi (?:do not|don't|dont) see (?:a|any|the) (?:reason|point) (?:to|in|of) (?:living|life|going on|go on|"
    r"live)\b",
    rf"\b{_PEOPLE} (?:would|will|'d) be (?:much |far |so much )?(?:happier|better|better off|fine) (?:without me|"
    rf"if i "
    r"(?:wasn't|weren't|was not|were not|was|were|am) (?:here|there|around|alive|dead|gone|not here))\b",
    r"\bwhat(?:'s| is) the (?:point|use) (?:of|in) (?:living|life|being alive|going on)\b",
    r"\b(?:i've|i have|i) (?:been |started |keep )?(?:cutting|burning|hurting) (?:myself|again)\b",
    rf"{_I_AM}(?:like )?(?:nothing but )?(?:just )?(?:a|such a) burden\b",
    r"\bi (?:can't|cannot|cant|can not) (?:go on|live like this|keep going)\b",
    r"\b(?:life|it) (?:isn't|is not|is no longer|isnt|not) worth (?:living|it to live)\b",
    r"\bno(?:thing| reason)(?: left)? to live for\b",
    r"\bi (?:think|thought|keep thinking|dream) (?:about|of) (?:dying|death|not being here|not existing)\b",
)
_DESPAIRING = (
    r"\bi (?:can't|cannot|cant|can not|just can't) (?:take|bear|stand|do|handle|cope with) (?:it|this|that|life)(?: "
    rf"all)? {_LONGER}\b",
    r"\bi(?:'ve| have)? (?:got )?(?:nobody|no one|no-one)(?: left)?(?: (?:to (?:talk|turn|go) to|who (?:cares|"
    r"listens|"
    r"understands)))?\W*$",
    r"\b(?:nothing|none of (?:it|this)) (?:really )?matters\b(?! more)",
    rf"\b(?:i (?:do not|don't|dont)|can't|cannot) see (?:the|any|a) (?:point|sense|way out|"
    rf"future)(?: {_LONGER})?\W*$",
    r"\b(?:what(?:'s| is) the (?:point|use)|there(?:'s| is) no (?:point|use|hope|way out))(?: of (?:it|anything)| "
    rf"for me| {_LONGER}| in anything)*\W*$",
    rf"{_I_AM}(?:like )?(?:an? |such an? )?{_VERY}(?:worthless|hopeless|empty|numb|useless|broken|failure|unlovable|"
    r"lonely|alone|lost|helpless|desperate|depressed|nothing)(?: inside| in (?:life|this world)| and \w+)*\W*$",
    rf"\b{_NOBODY} (?:really |ever |even )*(?:cares?|loves?|likes?|needs?|wants?|understands?|would miss|misses) "
    r"(?:about )?me\b",
    r"\bi (?:really |just |so )?(?:hate|loathe|despise) (?:myself|my life|being me|being alive)\b",
    r"^i (?:just )?(?:give up|gave up|have given up)(?: on (?:life|everything|myself))?\W*$",
    r"\bi(?:'ve| have)? (?:lost|have no|got no) (?:all )?hope\b",
    r"\b(?:my )?life (?:is|feels|has) (?:no (?:meaning|sense|point)|a |just a |so |completely |totally )*(?:mess|"
    r"nightmare|over|meaningless|pointless|"
    r"ruined|worthless|empty|hell)\b",
    r"\bi (?:\w+ )?(?:cry|am crying|'m crying|cried) (?:\w+ )?(?:every (?:night|day)|all (?:night|day)|myself to "
    r"sleep|all the time)",
    r"\beverything (?:is|feels|seems) (?:so |just )?(?:hopeless|pointless|meaningless|too much|falling apart)\b",
    rf"{_I_AM}(?:dead inside|not (?:doing )?(?:ok|okay|all right|alright|well|good|fine))\W*$",
    r"\bi(?:'ve| have) been crying\b|\bwhy do i (?:even |still )*(?:try|bother)\b|\bi(?:'ve| have)? relapsed\b",
)
_WORN_OUT = (
    rf"{_I_AM}(?:tired|sick and tired|weary|exhausted) of (?:everything|it all|life|all (?:of )?(?:this|it)|"
    rf"this life|"
    r"living|trying|fighting|being (?:strong|alone|me))\b",
    rf"{_I_AM}(?:exhausted|burn(?:ed|t)[- ]?out|worn[- ]?out|drained|overwhelmed|at my limit|"
    rf"at the end of my (?:rope|"
    r"tether)|at breaking point|running on empty)\b",
    r"\b(?:i )?(?:haven't|have not|havent|can't|cannot|couldn't|didn't) (?:really |properly )?(?:slept|sleep|rest|"
    r"rested) (?:properly |well |at all )?(?:in|for) (?:days|weeks|months|nights|ages|a week|a month)\b",
    r"\b(?:it's|it is|everything is|all|this is) (?:all |just |all just )?too much (?:for me|to (?:bear|handle|"
    r"take))\b",
    r"\bi have no (?:energy|strength|motivation)(?: left)?\b",
    rf"^(?:oh,? |ugh,? |god,? |well,? )*{_I_AM}(?:tired|sleepy|knackered)(?: today| all the time)?\W*$",
)
_KINDS = tuple(
    (re.compile("|".join(phrases)), sentences)
    for phrases, sentences in ((_DARK, DARK), (_DESPAIRING, DESPAIRING), (_WORN_OUT, WORN_OUT))
)
"""The gravest first."""


def words_for(text: str, felt: str | None = None) -> tuple[str, ...]:
    """The sentences that answer such a message, any of them; none where nobody speaks of despair, and for whoever feels
    joy, in Ekman's words, none but the gravest: "I can't take it any more" is said with tears of laughter too.

    >>> words_for("I'm so tired of everything") == WORN_OUT, words_for("I'm tired of this song")
    (True, ())
    """
    lowered = " ".join(text.lower().replace("’", "'").split())
    found = next((sentences for phrases, sentences in _KINDS if phrases.search(lowered)), ())
    return () if felt == "joy" and found is not DARK else found
