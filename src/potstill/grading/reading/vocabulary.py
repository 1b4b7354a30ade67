"""Tables of words that reading prose needs, each as a reader would list them."""

from __future__ import annotations

__all__ = [
    "ABBREVIATIONS",
    "COMMON",
    "ORDINALS",
    "PASTS",
    "SCALES",
    "UNIT_ABBREVIATIONS",
]


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# A full stop behind one of these ends no sentence, whatever follows.
ABBREVIATIONS = frozenset(
    _listed(
        """
        mr mrs ms dr st prof sr jr mt fig eq no nos vs e.g i.e cf approx ca inc ltd vol ch sec ex
        """
    )
)
# Behind one of these it ends one only where a capital follows.
UNIT_ABBREVIATIONS = frozenset(
    _listed("a.m p.m ft in lb lbs oz hr hrs min mins cm mm km kg g m yd yds mi etc")
)
# What says nothing of a question: grammar, and what every question of how many has.
COMMON = _listed(
    """
    a an the of to in on at by for with from as and or but if then than that this these those it
    its is are was were be been being do does did doing has have had having will would can could
    should shall may might must there here what which who whom whose how many much when where why
    he she they him her them his their you your we our us me my i not no so such one ones each
    every all any some get gets got give find calculate determine compute solve evaluate express
    answer question please total number amount
    """
)
SCALES = {"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9}
ORDINALS = {
    word: value
    for value, word in enumerate(
        _listed(
            """
            first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth
            thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth
            """
        ),
        start=1,
    )
}
# Verbs of word problems whose past does not end in "ed", and plurals that do not end in "s".
_FORMS = """
win won; buy bought; sell sold; spend spent; pay paid; make made; eat ate eaten; leave left;
give gave given; take took taken; get got gotten; run ran; drive drove driven; find found;
grow grew grown; lose lost; see saw seen; write wrote written; bring brought; hold held;
keep kept; have had has; do did done; go went gone; be was; sleep slept; swim swam; catch caught;
build built; drink drank drunk; feed fed; fly flew flown; ride rode; sing sang sung;
ring rang rung; throw threw thrown; choose chose chosen; draw drew drawn; break broke broken;
weigh weight; child children; person people; foot feet; man men; woman women; day daily;
week weekly; month monthly; year yearly annual annually
"""
PASTS = {form: row.split()[0] for row in _FORMS.split(";") for form in row.split()[1:]}
