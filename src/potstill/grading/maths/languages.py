"""What the language of a problem decides: the decimal comma, and the unit that is asked for."""

from __future__ import annotations

import re
from functools import lru_cache

from potstill.grading.maths.unit_table import LANGUAGES

__all__ = [
    "asked_in_other_languages",
    "asks_for_bound",
    "decimal_point",
    "in_english",
    "points_for_commas",
    "points_of_thousands",
    "uses_decimal_comma",
]

# Small words that no English problem has, by the languages that write a decimal comma.
_SMALL = """
der die das und ist sind wie viele berechne bestimme gib wert eine ein
le les des est quelle quel combien calculer donner valeur une du
el los las cuál cuánto cuántos calcula halla valor del una es
il lo della quanto quanti calcola trova valore di
qual quanto quantos calcule encontre o os um uma
wat het van hoeveel bereken de en
ile jest oblicz wartość
"""
_ANSWERS = """
antwort lösung ergebnis endergebnis respuesta solución resultado réponse résultat risposta
risultato soluzione resposta solução ответ відповідь odpowiedź wynik odpověď výsledek svar antwoord
cevap sonuç jawaban vastaus válasz răspuns απάντηση الجواب الإجابة उत्तर
答案 最终答案 答え 答 解答 정답 답
"""
_ANSWER = "|".join([*sorted(_ANSWERS.split(), key=len, reverse=True), r"đáp\s+án"])
_ANSWER_LINE = re.compile(
    rf"(?im)^([\s*#_>]{{0,8}})(?:[^\W\d]{{1,12}}\s+){{0,2}}?(?:{_ANSWER})(?:\s+(?:final[eo]?|correcte?a?|corretta))?"
    r"[\s*_]{0,4}[:：][\s*_]*"
)
_ANSWER_WORDS = (
    *("antwort", "lösung", "ergebnis", "réponse", "respuesta", "risposta", "resposta", "antwoord"),
    *("ответ", "答案", "答え", "정답"),
)
_ANSWER_IS = re.compile(
    r"\b(?:die|das|la|il|o|a)\s+(?:(?:richtige|korrekte|endgültige|bonne)\s+)?"
    r"(?:antwort|lösung|ergebnis|réponse|respuesta|risposta|resposta)\s+"
    r"(?:(?:finale?|correcte?|correcta|corretta|correta)\s+)?(?:ist|lautet|beträgt|est|es|è|é)\b:?"
    r"(?:\s+(?:la|le|el|o|a|die|der)\b(?=\s+\(?[A-J]\b))?"
    r"|\bhet\s+antwoord\s+is\b|\bответ\s*[-—–]|(?:最终)?答案(?:是|为)|答えは|정답은",
    re.IGNORECASE,
)
# What denies a number or bounds it, by its English; the first and the last stand before a verb too.
_BEFORE_NUMBER = {
    "not": "nicht|keine|pas|non|não|niet|не|不是|没有",
    "at least": "mindestens|wenigstens|au moins|al menos|por lo menos|almeno|pelo menos|minstens|"
    "ten minste|как минимум|至少",
    "at most": "höchstens|maximal|au plus|au maximum|como máximo|a lo sumo|al massimo|no máximo|"
    "hoogstens|не более|最多|至多",
    "more than": "mehr als|plus de|más de|più di|mais de|meer dan|более|больше|超过",
    "less than": "weniger als|moins de|menos de|meno di|minder dan|менее|меньше|不到",
    "almost": "beinahe|presque|casi|quasi|quase|bijna|почти",
}
_ENGLISH_OF = {
    word: english for english, words in _BEFORE_NUMBER.items() for word in words.split("|")
}
_QUALIFIED = re.compile(
    r"(?<![^\W\u3040-\u30ff\u4e00-\u9fff])"
    rf"({'|'.join(sorted(map(re.escape, _ENGLISH_OF), key=len, reverse=True))})"
    r"(?:(?<=[a-zа-яéãà])\b|(?<=[\u4e00-\u9fff])[有是为]?)?\s*(?=[$€£]?\d)",
    re.IGNORECASE,
)
# "no tiene 16", "non ha 16", "16個ではありません"
_VERB_NEAR = re.compile(r"n(?:o|on|ão)\s")
_VERB_DENIED = re.compile(
    r"\b(?:no|non|não)\s+(?:(?:se|le|les|lhe|ci|gli)\s+)?(?:tien\w+|teng\w+|hay|es|son|era|eran|qued\w+|vend\w+|compr\w+|"
    r"necesit\w+|pag\w+|gan\w+|recib\w+|ha|hanno|è|sono|rest\w+|cost\w+|tem|têm|há|são|sobr\w+|custa\w*)\s+(?=[$€£]?\d)",
    re.IGNORECASE,
)
_DENIED_BEHIND = re.compile(
    r"(?=\d)(?<![\d.,])([\d.,]*\d)(?=[^\d\s。.,]{0,4}\s?(?:では(?:な|あ)|じゃな|아니|아닙))"
)
_BOUND_ASKED = re.compile(
    r"\b(?:mindestens|höchstens|braucht|brauchen|benötig\w+|maximal|minimal|faut|besoin|"
    r"au moins|au plus|necesita\w*|al menos|como máximo|máxim[oa]|mínim[oa]|servono|"
    r"occorr\w+|almeno|precisa\w*|minimum|maximum|pelo menos|нужно|надо|минимум|максимум)\b"
    r"|至少|最多|至多|需要",
    re.IGNORECASE,
)
_SMALL_WORDS = frozenset(_SMALL.split())
_TELLING = frozenset(
    {"berechne", "bestimme", "calculer", "calcula", "halla", "calcola", "trova", "bereken"}
)
_OWN_COMMA = re.compile(r"(?<![\d.,(])\d+,\d{1,2}(?![\d.,)])")
_SEVERAL = re.compile(
    r"lösungen|nullstellen|werte\b|zahlen|paar|punkt|intervall|solutions|valeurs|couple|points?\b|"
    r"nombres|soluciones|raíces|valores|números|par\b|puntos?|soluzioni|radici|coppia|soluções|"
    r"raízes|решени|корни|числа|пар[ау]|точк",
    re.IGNORECASE,
)
_COMMA = re.compile(
    r"(?<![\d.,])(-?(?:\d{1,3}(?:\.\d{3})*|\d+)),(\d{1,2}|\d{4,}|(?<=0,)\d{3})(?!\d|[.,]\d)"
)


@lru_cache(maxsize=1024)
def uses_decimal_comma(problem_text: str) -> bool:
    """Return whether a problem is written in a language whose decimals have a comma."""
    text = problem_text[-2_000:]
    if len(re.findall(r"[а-яё]", text)) > 10:
        return True
    words = re.findall(r"[^\W\d_]+", re.sub(r"\$[^$]{0,400}\$", " ", text).lower())
    known = {word for word in words if word in _SMALL_WORDS}
    if {"the", "of", "and", "what", "find", "how", "is"} & set(words):
        return False
    # "Berechne 1,5 + 2,25." says it by its one word, and so does a decimal comma of its own
    one = known & _TELLING or _OWN_COMMA.search(text)
    return len(known) >= 2 or bool(known and one)


def in_english(text: str) -> str:
    """Return a text in which "Antwort:" is "Answer:", "die Antwort ist" "the answer is", and what
    denies or bounds a number ("nicht 19", "al menos 19") does so in English.
    """
    if ":" in text or "：" in text:
        text = _ANSWER_LINE.sub(r"\1Answer: ", text)
    low = text.lower()
    if any(word in low for word in _ANSWER_WORDS):
        text = _ANSWER_IS.sub(" The answer is ", text)
    if _VERB_NEAR.search(low):
        text = _VERB_DENIED.sub("not ", text)
    if not text.isascii():
        text = _DENIED_BEHIND.sub(r"not \1", text)
    if not any(word in low for word in _ENGLISH_OF):
        return text
    return _QUALIFIED.sub(lambda found: f" {_ENGLISH_OF[found[1].lower()]} ", text)


def asks_for_bound(question: str) -> bool:
    """Return whether a question in another language than English asks for a least or a most."""
    return _BOUND_ASKED.search(question) is not None


_BOUNDED = re.compile(r"[<>≤≥]")


def decimal_point(text: str, problem_text: str) -> str:
    """Return a tidied single value with a point for the decimal comma of the problem's language.

    Lists keep their commas: where the problem asks for several values nothing is changed.
    """
    if "," not in text or not problem_text:
        return text
    ends = text[:1] in "([]{⦃" and ";" in text
    if (ends or _BOUNDED.search(text)) and uses_decimal_comma(problem_text):
        return re.sub(r"(?<=\d),(?=\d{1,2}(?!\d))", ".", text)
    if _SEVERAL.search(problem_text):
        return text
    if text[:1] in "([{⦃" or text.count(",") != 1 or not uses_decimal_comma(problem_text):
        return text
    return _COMMA.sub(lambda m: f"{m.group(1).replace('.', '')}.{m.group(2)}", text)


# "2.500 €" are thousands: nobody writes a decimal's last nought behind three places.
_POINTED = re.compile(r"(?<![\d.,])([1-9]\d{0,2})\.(\d{2}0)(?!\d|[.,]\d)")


def points_of_thousands(text: str, problem_text: str) -> str:
    """Return a text with "2.500" as 2500, where the problem's language writes a decimal comma."""
    if "." not in text or not uses_decimal_comma(problem_text):
        return text
    return _POINTED.sub(r"\1\2", text)


def points_for_commas(text: str, problem_text: str) -> str:
    """Return prose with a point for the decimal comma of the problem's language."""
    if not uses_decimal_comma(problem_text):
        return text
    text = points_of_thousands(text, problem_text)
    if "," not in text:
        return text
    return _COMMA.sub(lambda m: f"{m.group(1).replace('.', '')}.{m.group(2)}", text)


_named = {spelling: unit for unit, names in LANGUAGES.items() for spelling in names.split()}
_spellings = "|".join(sorted(map(re.escape, _named), key=len, reverse=True))
_QUESTION = re.compile(
    rf"(?:(?:多少|几|幾|何|몇)\s*(?P<glued>{_spellings})"
    r"|\b(?:wie\s+viele?|combien\s+d[e']|cu[aá]nt[oa]s|quant[oaei]s?|сколько|in|en|em|в)\s?"
    rf"(?P<word>{_spellings})n?(?!\w))",
    re.IGNORECASE,
)


@lru_cache(maxsize=1024)
def asked_in_other_languages(problem_text: str) -> frozenset[str]:
    """Return the units that a question in another language than English names for its answer."""
    text = problem_text[-2_000:]
    found = (m.group("glued") or m.group("word") for m in _QUESTION.finditer(text))
    return frozenset(unit for s in found if (unit := _named.get(s, "")))
