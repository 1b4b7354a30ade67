"""The one way in: what every source's problems go through before any model sees them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from pydantic import ValidationError

from potstill.errors import InputError
from potstill.plugins import SOURCES, load_plugin, misshapen
from potstill.problems.mending import (
    DURATIONS,
    as_duration,
    cut_digits,
    decimal_points,
    excel_date,
    excel_time,
    holds_pair,
    looks_comma,
    may_be_thousands,
    mend,
    mend_key,
    read_otherwise,
    states_key,
)
from potstill.problems.raw import KeyReading, RawProblem, SourceLike, normalise, text_key
from potstill.records import (
    SEVERAL_VALUES,
    Excluded,
    ExclusionReason,
    Gold,
    NoGold,
    NumberGold,
    Problem,
    RubricGold,
    TestsGold,
    TextGold,
)
from potstill.store.setting_errors import first_error, with_lists
from potstill.text import first_of, several

_REPORTED_EVERY = 5_000
_LONGEST_TEXT = 200_000
"""Characters: some 50,000 tokens, ten times the longest problem that a student is taught."""
_LONGEST_HEADING = 300
"""Characters in which a text may say that there is none."""
_KEPT_OF_LONG = 1_000
_ONE_IN = 200  # keys with a comma, for it to be worth saying

__all__ = [
    "Imported",
    "ProblemRow",
    "SourceConfig",
    "describe",
    "load_problems",
    "read_problems",
]


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """Where problems come from: a plugin's name, its options, and the name of the set in tables.

    ``why`` says what was guessed, where a configuration is a guess.
    """

    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    why: str = ""

    @property
    def label(self) -> str:
        """The name of the set in tables."""
        return self.name or self.source


@dataclass(frozen=True, slots=True)
class Imported:
    """Every problem that was brought in: those that may be asked, and those excluded, and why.

    ``notes`` say aloud what was mended or guessed on the way.
    """

    problems: tuple[Problem, ...]
    excluded: tuple[Excluded, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """One line of ``potstill problems``; ``reason`` is empty where the problem is kept."""

    id: str
    source: str
    kind: str
    key: str
    reason: str
    detail: str
    text: str
    groups: Mapping[str, str] = field(default_factory=dict)


def load_problems(
    sources: Sequence[SourceLike],
    *,
    infer: Callable[[str, str], str],
    keys: KeyReading | None = None,
    tell: Callable[[int], None] | None = None,
    keyless: Callable[[str], bool] | None = None,
) -> Imported:
    """Return the problems of all sources, and those excluded with the reason for each.

    As :func:`read_problems`, in memory; ``tell`` is told how many there are so far, now and then.
    """
    said: list[str] = []
    found: list[Problem | Excluded] = []
    for item in read_problems(sources, infer=infer, keys=keys, say=said.append, keyless=keyless):
        found.append(item)
        if tell and len(found) % _REPORTED_EVERY == 0:
            tell(len(found))
    return Imported(
        tuple(x for x in found if isinstance(x, Problem)),
        tuple(x for x in found if isinstance(x, Excluded)),
        tuple(said),
    )


def read_problems(
    sources: Sequence[SourceLike],
    *,
    infer: Callable[[str, str], str],
    keys: KeyReading | None = None,
    say: Callable[[str], None] | None = None,
    keyless: Callable[[str], bool] | None = None,
) -> Iterator[Problem | Excluded]:
    """Yield every problem of all sources, and those excluded with the reason for each.

    ``infer`` names the kind of an answer from key and text (``potstill.grading.infer_kind``),
    ``keys`` reads each key as the grader will; without it none is found unreadable. ``say`` is told
    what was mended or guessed, once all is read. The first of several equal texts is kept. Where
    ``keyless`` is given, a problem without a key is kept too if it says so of its kind ("" where
    the source names none): with NoGold, behind all others, for one of the same text that has a key
    is kept in its place. Raises InputError for a source that cannot be read, and where one id names
    two different texts.
    """
    seen, remarks = _Seen(), _Remarks()
    without: list[tuple[str, RawProblem, str]] = []
    for source, raw in _read(sources, say):
        if not raw.id.strip():
            raise InputError(f"{source}: a problem has no id ({raw.text[:60]!r}...); give it one.")
        if len(raw.text) > _LONGEST_TEXT:
            yield _too_long(raw, source)
            continue
        raw = _prepared(raw, source, keys, remarks)
        normal = normalise(raw.text)
        if not seen.notes(raw.id, normal):
            _refuse_two_texts(sources, source, raw, normal)
        reason, detail = _why_excluded(raw, normal, seen)
        if reason is ExclusionReason.NO_KEY and keyless is not None:
            if keyless(raw.kind):
                without.append((source, raw, normal))
                continue
            detail = ": ".join(filter(None, (detail, f"no majority is taken of {raw.kind}")))
        if reason is not None:
            yield Excluded(raw.id, raw.text, raw.key, source, reason, detail, raw.groups)
            continue
        gold = raw.gold or TextGold(raw.key.strip())
        kind = raw.kind or _kind(gold, raw.text, infer)
        problem = Problem(raw.id, raw.text.strip(), gold, kind, source, raw.groups)
        if keys is not None and (fault := _fault(problem, raw, keys)):
            detail = f"{raw.where}: {fault}" if raw.where else fault
            reason = ExclusionReason.BAD_KEY
            yield Excluded(raw.id, raw.text, raw.key, source, reason, detail, raw.groups)
            continue
        seen.keeps(normal, problem)
        remarks.counts(
            raw,
            problem,
            as_text=keys is not None and keys.only_text(problem),
            comma_language=keys is not None and keys.decimal_comma(problem.text),
        )
        yield problem
    yield from _without_key(without, seen)
    if say is not None:
        for remark in remarks.lines():
            say(remark)


def _without_key(
    found: Sequence[tuple[str, RawProblem, str]], seen: _Seen
) -> Iterator[Problem | Excluded]:
    """Yield problems that have no key, but for those whose text another one has."""
    for source, raw, normal in found:
        if (same := seen.duplicate(normal)) is not None:
            reason, detail = ExclusionReason.DUPLICATE, f"same text as {same[0]}"
            yield Excluded(raw.id, raw.text, raw.key, source, reason, detail, raw.groups)
            continue
        problem = Problem(raw.id, raw.text.strip(), NoGold(), raw.kind, source, raw.groups)
        seen.keeps(normal, problem)
        yield problem


def _prepared(
    raw: RawProblem, source: str, keys: KeyReading | None, remarks: _Remarks
) -> RawProblem:
    """Return a problem with text and key mended, and the final answer of a worked solution taken.

    Raises InputError for an answer kind that does not exist.
    """
    mended = list(raw.mended)
    if raw.kind and keys is not None:
        where = f"{source}: {raw.where or raw.id}"
        keys.check_kind(raw.kind, where)
    if raw.gold is None and raw.kind not in ("code", "exact"):
        text, key = mend(raw.text), mend_key(raw.key)
        mended += [*text.what, *key.what]
        timed = as_duration(key.text, text.text) if not raw.kind else key.text
        mended += [DURATIONS] if timed != key.text else []
        raw = replace(raw, text=text.text, key=timed)
        if keys is not None and raw.kind != "judge":
            raw = _with_final_answer(raw, source, keys, remarks)
    for what in dict.fromkeys(mended):
        remarks.mended[source, what].append(raw.id)
    return raw


def _with_final_answer(
    raw: RawProblem, source: str, keys: KeyReading, remarks: _Remarks
) -> RawProblem:
    if raw.key.strip():
        found = keys.final_answer(raw.key, raw.text)
        if found:
            remarks.taken[source].append((raw.id, found))
    else:
        solution = decimal_points(raw.solution) if raw.decimal == "comma" else raw.solution
        found = keys.final_answer(solution, raw.text, worked=True) if solution else ""
        if found:
            remarks.solved[source].append((raw.id, found))
    return replace(raw, key=found) if found else raw


def _fault(problem: Problem, raw: RawProblem, keys: KeyReading) -> str:
    key, text = problem.gold_text, problem.text
    if raw.gold is None and raw.kind not in _AS_TEXT:
        made = (
            excel_date(key, text) if raw.kind != "date" else "",
            excel_time(key, text) if raw.kind != "time" else "",
            cut_digits(key),
        )
        if any(made):
            return next(filter(None, made))
    return keys.fault(problem, given=bool(raw.kind))


class _Remarks:
    """What is worth saying of the problems that came in, by source."""

    def __init__(self) -> None:
        self.mended: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.taken: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self.solved: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._commas: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._thousands: dict[str, list[tuple[str, str, bool]]] = defaultdict(list)
        self._pairs: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._otherwise: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        self._texts: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._images: dict[str, list[str]] = defaultdict(list)
        self._parts: dict[str, list[str]] = defaultdict(list)
        self._solved: dict[str, list[str]] = defaultdict(list)
        self._read: Counter[str] = Counter()

    def counts(
        self, raw: RawProblem, problem: Problem, *, as_text: bool, comma_language: bool
    ) -> None:
        """Count a key that was kept: whether it is compared as text alone, looks like a number with
        a decimal comma, or may be meant otherwise than it is read.

        ``comma_language`` says that its problem is written in a language with decimal commas.
        """
        source, row = problem.source, f"{raw.id}, {raw.where}" if raw.where else raw.id
        self._read[source] += 1
        if _IMAGE.search(raw.text):
            self._images[source].append(row)
        if _LATER_PART.match(raw.text) or _LEANS.search(raw.text):
            self._parts[source].append(row)
        if states_key(raw.text, raw.key):
            self._solved[source].append(row)
        if as_text:
            self._texts[source].append((row, raw.key))
        if raw.decimal == "comma" and raw.gold is None and holds_pair(raw.key):
            self._pairs[source].append((row, raw.key))
        if not raw.decimal and not raw.kind and may_be_thousands(raw.key):
            self._thousands[source].append((row, raw.key, comma_language))
        if raw.gold is not None:
            return
        if not raw.kind and not as_text and (read := read_otherwise(raw.key, raw.text)):
            self._otherwise[source, read].append((row, raw.key))
        looks = looks_comma(raw.key, raw.text)
        if looks == "maybe" and problem.kind == "set":
            looks = ""
        if looks and not raw.decimal and raw.kind not in SEVERAL_VALUES:
            self._commas[source].append((row, raw.key))

    def lines(self) -> Iterator[str]:
        """Yield a line for everything of one sort."""
        for (source, what), ids in self.mended.items():
            yield f"{source}: {what} mended in {several(len(ids), 'problem')} ({_some(ids)})"
        for source, found in self.taken.items():
            yield (
                f"{source}: {several(len(found), 'key')} held a worked solution; the final answer "
                f"was taken ({_keys_of(found)}). In a study, solution: names that column"
            )
        for source, found in self.solved.items():
            yield (
                f"{source}: {several(len(found), 'key')} taken from the end of the worked "
                f"solution ({_keys_of(found)})"
            )
        warned = set()
        for source, commas in self._commas.items():
            if len(commas) > self._read[source] // _ONE_IN:
                warned.add(source)
                it, them = ("it is", "it") if len(commas) == 1 else ("they are", "them")
                yield (
                    f"{source}: {several(len(commas), 'key')} may have a decimal comma "
                    f"({_keys_of(commas)}); {it} read as two values, or with a comma of "
                    "thousands, unless the problem is written in a language with decimal commas. "
                    f"In the source, decimal: comma makes a number of {them}, decimal: point two "
                    "values (--decimal)"
                )
        for source, rows in self._thousands.items():
            unsure = [
                (row, key) for row, key, comma in rows if comma or source in warned or "€" in key
            ]
            if unsure:
                yield (
                    f"{source}: {several(len(unsure), 'key')} may be thousands or have three "
                    f"decimals ({_keys_of(unsure)}); {_it_is(unsure)} read as in English, "
                    "1,234 as thousands and 1.234 as decimals. In the source, decimal: comma or "
                    "decimal: point says which (--decimal)"
                )
        for source, ids in self._solved.items():
            yield (
                f"{source}: {several(len(ids), 'problem')} ({_some(ids)}) "
                f"{'ends' if len(ids) == 1 else 'end'} in the key, so nothing is left to be "
                "solved; take it out of the text"
            )
        for source, pairs in self._pairs.items():
            yield (
                f"{source}: a comma stands in brackets in {several(len(pairs), 'key')} "
                f"({_keys_of(pairs)}); {_it_is(pairs)} read as two values. Write (1; 2) for a "
                "pair, and a number without brackets"
            )
        for source, places in self._images.items():
            it = "shows an image" if len(places) == 1 else "show images"
            yield (
                f"{source}: {several(len(places), 'problem')} {it} that no model sees "
                f"({_some(places)}); say in words what is to be seen, or take the row out"
            )
        for source, places in self._parts.items():
            one = len(places) == 1
            yield (
                f"{source}: {several(len(places), 'problem')} {'leans' if one else 'lean'} on one "
                f"before {'it' if one else 'them'} ({_some(places)}), and each is asked alone; "
                "write into it what it needs"
            )
        for (source, read), found in self._otherwise.items():
            yield (
                f"{source}: {several(len(found), 'key')} may be meant otherwise "
                f"({_keys_of(found)}); {_it_is(found)} read as {read}"
            )
        for source, texts in self._texts.items():
            it = "is" if len(texts) == 1 else "are"
            yield (
                f"{source}: {several(len(texts), 'key')} cannot be read as mathematics and {it} "
                f"compared as text ({_keys_of(texts)}): the same answer in other words is not "
                "taken for right. Give the value alone, or name the kind: word, exact, judge"
            )


def _it_is(found: Sequence[object]) -> str:
    return "it is" if len(found) == 1 else "they are"


def _keys_of(found: Sequence[tuple[str, str]]) -> str:
    """Return the first of some keys, and of which problem each is."""
    return _some([f"{_short(key)} of {row}" for row, key in found])


def _short(key: str) -> str:
    text = " ".join(key.split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _some(names: Sequence[str]) -> str:
    return first_of(names, 3)


class _Seen:
    """The ids and texts that came so far, in a hundred or two bytes each."""

    def __init__(self) -> None:
        self._texts: dict[str, bytes] = {}  # of every id
        self._kept: dict[bytes, tuple[str, str]] = {}  # id and key, by text

    def notes(self, problem_id: str, normal: str) -> bool:
        """Return whether the id is new, or came with the same text."""
        digest = text_key(normal)
        return self._texts.setdefault(problem_id, digest) == digest

    def keeps(self, normal: str, problem: Problem) -> None:
        """Take later problems of this text for duplicates of the problem."""
        self._kept[text_key(normal)] = (problem.id, problem.gold_text)

    def duplicate(self, normal: str) -> tuple[str, str] | None:
        """Return id and key of the problem of this text that was kept, if one was."""
        return self._kept.get(text_key(normal))


def describe(imported: Imported) -> tuple[ProblemRow, ...]:
    """Return one row for every problem, kept or excluded, for people to look over before a run."""
    kept = [
        ProblemRow(p.id, p.source, p.kind or "no key", p.gold_text, "", "", p.text, p.groups)
        for p in imported.problems
    ]
    away = [
        ProblemRow(s.id, s.source, "", s.key, s.reason.value, s.detail, s.text, s.groups)
        for s in imported.excluded
    ]
    return (*kept, *away)


def _read(
    sources: Sequence[SourceLike], say: Callable[[str], None] | None = None
) -> Iterator[tuple[str, RawProblem]]:
    for config in sources:
        module = load_plugin(SOURCES, config.source)
        try:
            given = with_lists(config.options, module.Options)
            options = module.Options.model_validate(given, strict=False)
        except ValidationError as exc:
            why = first_error(exc, module.Options)
            raise InputError(f"problem source {config.label!r}: {why}") from exc
        if say is not None and hasattr(module, "notes"):
            for note in module.notes(options):
                say(note)
        try:
            found = module.read(options)
            if not isinstance(found, Iterable):
                what = f"reads {type(found).__name__} in place of problems, one after another"
                raise misshapen(SOURCES, config.source, what)
            for raw in found:
                yield config.label, _checked(raw, config.source)
        except SystemExit as exc:
            raise misshapen(SOURCES, config.source, f"ends Python (sys.exit: {exc})") from exc


def _checked(raw: Any, source: str) -> RawProblem:
    """Return what a source yielded. Raises InputError where it is no problem."""
    if not isinstance(raw, RawProblem):
        kind = type(raw).__name__
        raise misshapen(SOURCES, source, f"yields {kind} in place of RawProblem")
    for name in ("id", "text", "key", "kind", "solution", "where"):
        value = getattr(raw, name)
        if not isinstance(value, str):
            what = f"yields a problem ({str(raw.id)[:60]}) whose {name} is no text ({value!r:.60})"
            raise misshapen(SOURCES, source, what)
    texts = isinstance(raw.groups, Mapping) and all(
        isinstance(part, str) for pair in raw.groups.items() for part in pair
    )
    if not texts:
        what = f"yields a problem ({raw.id}) whose groups are no names with texts"
        raise misshapen(SOURCES, source, what)
    return raw


def _refuse_two_texts(
    sources: Sequence[SourceLike], source: str, second: RawProblem, normal: str
) -> NoReturn:
    first_source, first = next((x, raw) for x, raw in _read(sources) if raw.id == second.id)
    one = f"source {first_source}" + (f", {first.where}" if first.where else "")
    two = f"source {source}" + (f", {second.where}" if second.where else "")
    raise InputError(
        f"the id {second.id!r} names two problems: {normalise(first.text)[:60]!r} ({one}) and "
        f"{normal[:60]!r} ({two}); give each its own id."
    )


_AS_TEXT = ("judge", "exact", "code")
_HEADING = re.compile(
    r"^\W*(?:(?:question|problem|exercise|task|frage|aufgabe|exercice|pregunta|ejercicio|domanda"
    r"|esercizio|no\.?|#)(?![^\W\d_]))?\s*\d*\s*[:.)\-]*\s*",
    re.I,
)
_SUM = re.compile(
    r"\W*(?:(?:grand|sub)[\s-]*)?(?:totals?(?:\s+(?:points|marks|score))?|sum|average|mean|summe"
    r"|gesamt(?:summe|punkte|punktzahl)?|durchschnitt|mittelwert|somme|moyenne|suma|totale|media"
    r"|somma|soma|média|итого|合计|总计|合計)[\s:.=]*",
    re.I,
)
"""What stands before the last row of a spreadsheet, which sums the others."""
_IMAGE = re.compile(
    r"<img\b|!\[[^\]]{0,200}\]\(|\\includegraphics\b|data:image/"
    r"|\[(?:image|figure|picture|diagram|bild|abbildung)[^\]]{0,40}\]",
    re.I,
)
_LATER_PART = re.compile(r"\W{0,2}(?:[b-h]|ii|iii|iv)\)\s*\w", re.I)
_TASK = r"(?:question|problem|part|exercise|task|aufgabe|frage|teil)"
_NUMBERED = rf"{_TASK}\s+\(?(?!of\b)[\w.]{{1,4}}\)?(?!\w)"
_LEANS = re.compile(
    rf"\b{_TASK}\s+[\w.()]{{1,6}}\s+(?:above|oben)\b"
    r"|\b(?:results?|answers?|solutions?|values?|ergebnis\w*)\s+(?:from|of|in|to|aus|von)\s+"
    + _NUMBERED
    + r"|\b(?:as|wie|situation|case)\s+(?:in|of|aus)\s+"
    + _NUMBERED
    + r"|\bsame\s+as\s+above\b"
    r"|\b(?:previous|preceding)\s+(?:question|problem|part|exercise|task)\b"
    r"|\b(?:vorigen|vorherigen)\s+(?:aufgabe|frage|teil)",
    re.I,
)
"""A problem that needs one before it."""
_NOT_VISIBLE = re.compile(
    r"""^\W* (?:the\s+)?
    (?:(?:content|text|question|problem|statement|image|figure|pages?)\W+
       (?:text\s+)? (?:(?:is|was|are)\s+)?)?
    (?:not\s+(?:fully\s+)?(?:visible|available|provided|shown|legible|readable|given|included
                            |found|transcribed)
      |unavailable|illegible|unreadable|missing|omitted|cut\s+off)
    \W* (?:(?:in|on|from|due)\b [^.?!]{0,60})? \W*$""",
    re.I | re.X | re.S,
)


def _too_long(raw: RawProblem, source: str) -> Excluded:
    """Return a problem whose text no model would be taught, of which the beginning is kept."""
    at = f"{raw.where}: " if raw.where else ""
    detail = (
        f"{at}{len(raw.text):,} characters, and {_LONGEST_TEXT:,} is the most; a quotation mark "
        "that is not closed takes in all the rows after it"
    )
    text, key = raw.text[:_KEPT_OF_LONG], raw.key[:_KEPT_OF_LONG]
    return Excluded(raw.id, text, key, source, ExclusionReason.TOO_LONG, detail, raw.groups)


def _why_excluded(raw: RawProblem, normal: str, seen: _Seen) -> tuple[ExclusionReason | None, str]:
    body = _HEADING.sub("", raw.text.strip(), count=1).strip()
    empty = not body and not re.search(r"\d\s*[-+*/=]", raw.text)
    heading = len(raw.text) <= _LONGEST_HEADING
    if not normal or empty or (heading and _SUM.fullmatch(raw.text)):
        return ExclusionReason.NO_TEXT, f"only {raw.text.strip()!r}" if normal else raw.where
    if heading and _NOT_VISIBLE.match(body):
        return ExclusionReason.NOT_VISIBLE, raw.text.strip()
    if raw.gold is None and not raw.key.strip():
        unsaid = "its worked solution states no answer that could be read" if raw.solution else ""
        return ExclusionReason.NO_KEY, ": ".join(filter(None, (raw.where, unsaid)))
    duplicate = seen.duplicate(normal)
    if duplicate is not None:
        duplicate_id, key = duplicate
        same = raw.gold is not None or normalise(key) == normalise(raw.key)
        keys = "" if same else f"; the keys differ: {_short(key)!r} and {_short(raw.key)!r}"
        at = f" ({raw.where})" if raw.where and duplicate_id == raw.id else ""
        return ExclusionReason.DUPLICATE, f"same text as {duplicate_id}{at}{keys}"
    return None, ""


def _kind(gold: Gold, text: str, infer: Callable[[str, str], str]) -> str:
    match gold:
        case TextGold(key):
            return str(infer(key, text))
        case NumberGold():
            return "decimal"
        case TestsGold():
            return "tests"
        case RubricGold():
            return "rubric"
        case NoGold():
            return ""
