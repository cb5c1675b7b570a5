"""Words by which the grammar of an English prompt is guessed."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TASK_VERBS = _words(
    """
    describe write list make create turn draw give tell explain transcribe extract summarize summarise
    identify caption count name classify translate convert generate produce paint render edit remove add
    change show read copy report analyze analyse note compare find detect label tag rate say provide
    return answer restore colorize colourize colorise improve replace design sketch illustrate transform
    rewrite compose prepare state mention outline review assess estimate inspect examine document record
    catalogue catalog recreate redraw put place crop sharpen retouch reproduce quote capture tabulate
    sum guess determine recognize recognise locate mark highlight simplify check judge apply narrate
    present help look use take mix imagine retell sort build
    """
)
OPENERS = _words(
    """
    please kindly then also now first next finally can could would will you i we want need like to
    would'd i'd and just so task your hi hello hey carefully again let us
    """
)
DETERMINERS = _words(
    """
    a an the this that these those each every its their his her our your my all any some no both
    """
)
PRONOUNS = _words(
    """
    you we i it they he she who which
    """
)
ATTACHED = _words(
    """
    of in on at for from with by to and or that which who you we it they as than about
    """
)
"""Words whose clause belongs to the one before it, where no comma parts them."""
JOINING = _words(
    """
    without with in on at for from by of as to about into onto over under around after before during
    through within including except besides like per than via between among against across behind beyond
    near beside because since while when where if unless until although though but so that which who
    whose whom how whether what why not rather instead and or plus along showing
    """
)
FUNCTION_WORDS = (
    JOINING
    | DETERMINERS
    | PRONOUNS
    | _words(
        """
    is are was were be been being do does did have has had there here them him us me up out off
    """
    )
)
MODIFIERS = _words(
    """
    full exact precise raw long short big small old new real dark bright vivid clear bloody gory nude
    naked sexy whole entire complete close wide deep rich warm cold soft hard plain simple bold rough
    true good best great nice fine main single brief quick slow young large tiny huge heavy light high
    low strong sharp famous rude angry sad happy harsh cruel grim gritty scary creepy brutal lurid
    verbatim literally word-for-word extreme intimate obscene candid official well-known popular
    unedited uncut uncensored unfiltered
    """
)
AUXILIARIES = _words(
    """
    can could may might must should shall will would cannot not don't do be get let
    """
)
KEPT = FUNCTION_WORDS | AUXILIARIES
"""Words that are never left out alone."""
INCOMPLETE_VERBS = _words(
    """
    turn convert transform translate change put place make use imagine
    """
)
COMPLEMENTS = _words(
    """
    into to in on as from
    """
)
QUESTION_WORDS = _words(
    """
    what who whom whose which where when why how whether if that
    """
)
SHORTENED = frozenset({"e.g", "i.e", "etc", "mr", "mrs", "dr", "vs", "approx", "no", "fig"})
_ADJECTIVE_ENDS = (
    "ic",
    "ical",
    "al",
    "ive",
    "ous",
    "ful",
    "less",
    "able",
    "ible",
    "ary",
    "ish",
    "esque",
    "ant",
    "ent",
)
_NOUNS = _words(
    """
    animal material detail signal journal meal hospital portrait music topic fabric traffic comic logic
    public moment document content accent event element environment comment client parent department
    apartment statement segment garment ornament monument instrument equipment plant restaurant accident
    incident patient student agent table vegetable cable label dictionary library diary summary
    commentary motive archive olive individual professional original manual capital festival metal medal
    total goal trial finish dish fish text
    """
)
_NO_ADVERBS = _words(
    """
    family only reply friendly lovely lively early daily assembly butterfly
    """
)
_NO_PARTICIPLES = _words(
    """
    thing anything everything something nothing king ring string spring wing building painting drawing
    ceiling clothing lighting setting evening morning wedding being during including writing meaning
    heading greeting lettering feeling reading rendering listing showing
    """
)


def is_adverb(word: str) -> bool:
    """Return whether a word looks like an adverb."""
    return (len(word) > 4 and word.endswith("ly") and word not in _NO_ADVERBS) or word == "verbatim"


def is_modifier(word: str) -> bool:
    """Return whether a word looks like an adjective or an adverb."""
    if word in MODIFIERS or is_adverb(word) or "-" in word:
        return True
    return len(word) > 4 and word.endswith((*_ADJECTIVE_ENDS, "ed")) and word not in _NOUNS


def is_participle(word: str) -> bool:
    """Return whether a word looks like a verb that begins a clause, such as "copying"."""
    return len(word) > 4 and word.endswith("ing") and word not in _NO_PARTICIPLES
