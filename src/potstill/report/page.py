"""index.html and report.md: the same numbers through two templates."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from potstill.records import Opinion, Split
from potstill.report import phrases
from potstill.report.agreement import disagreements
from potstill.report.browser import BROWSER_FILE, Browser
from potstill.report.figures import Figure, colour_class
from potstill.report.findings import (
    cause_sentence,
    corpus_sentence,
    grader_sentence,
    interaction_rows,
    ladder_rows,
    shared_rows,
    shared_sentence,
    trend_sentence,
)
from potstill.report.gaps import gap_sentences, gaps_everywhere
from potstill.report.glossary import GLOSSARY
from potstill.report.overlaps import KIND_WORDS, kind_rows, overlap_rows, overlap_sentence
from potstill.report.readings import (
    READING_WORDS,
    format_rows,
    reading_rows,
    readings_present,
    unread_advice,
    unread_sentence,
)
from potstill.report.views import (
    CAUSE_WORDS,
    OUTCOME_WORDS,
    Place,
    cause_table,
    draw_rows,
    grids,
    outcomes_present,
    places,
    primary_place,
    solver_rows,
)

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render_markdown", "render_page"]

Row = dict[str, Any]

_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#~&!])")
_DISAGREEMENTS_SHOWN = 40
_OVERLAPS_SHOWN = 400
_SCRIPTS = ("vendor/temml.min.js", "templates/typeset.js", "templates/browser.js")


def render_page(numbers: Row, figures: list[Figure], browser: Browser | None = None) -> str:
    """Return the whole page as one HTML document that asks for nothing beyond itself.

    Its scripts are the problem browser's, and only they may run: the page names their hashes.
    """
    environment = _environment(autoescape=True)
    return environment.get_template("page.html.j2").render(
        _context(numbers, figures),
        browser=browser,
        browser_file=BROWSER_FILE,
        scripts=_scripts() if browser else (),
    )


def _scripts() -> list[Row]:
    """Return the page's scripts with the hash by which its policy lets them run."""
    found = []
    for name in _SCRIPTS:
        source = files("potstill.report").joinpath(name).read_text("utf-8")
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        found.append({"source": source, "hash": f"sha256-{digest}"})
    return found


def render_markdown(numbers: Row, figures: list[Figure]) -> str:
    """Return the report as Markdown; model text is escaped, so that none of it is markup."""
    environment = _environment(autoescape=False)
    return environment.get_template("report.md.j2").render(_context(numbers, figures))


def _context(numbers: Row, figures: list[Figure]) -> Row:
    sections = []
    for place in places(numbers):
        rows = solver_rows(numbers, place)
        ladder = next(
            (x for x in numbers["ladders"] if x["set"] == place.set and not place.apart), None
        )
        shared = shared_rows(numbers, place)
        sections.append(
            {
                "place": place,
                "rows": rows,
                "outcomes": outcomes_present(rows),
                "reading_rows": reading_rows(rows),
                "readings": readings_present(rows),
                "formats": format_rows(numbers, place),
                "causes": cause_table(numbers, place),
                "grids": grids(numbers, place),
                "draws": draw_rows(numbers, place),
                "ladder": ladder,
                "ladder_rows": ladder_rows(numbers, place),
                "trend": _trend(numbers, place, ladder) if ladder else "",
                "interactions": interaction_rows(ladder) if ladder else [],
                "apart": disagreements(
                    [(f"{x['label']} to base", x["against"]) for x in rows if x["against"]]
                ),
                "cause_sentence": cause_sentence(numbers, place),
                "overlap_rows": overlap_rows(numbers, place),
                "overlap_pairs": _overlap_pairs(numbers, place),
                "shared": shared,
                "shared_sentence": shared_sentence(shared),
            }
        )
    levels = [x["level"] for x in numbers["levels"] if x["role"] == "student"]
    kept = [place for place in places(numbers) if place.split == Split.KEPT]
    return {
        "report": numbers,
        "sections": sections,
        "kept": [x for x in sections if x["place"] in kept],
        "figures": {figure.name: figure for figure in figures},
        "opening": numbers["opening"],
        "glossary": GLOSSARY,
        "overlap_sentence": overlap_sentence(numbers),
        "overlap_kinds": kind_rows(numbers),
        "gaps": [found for found in gaps_everywhere(numbers) if not found.place.apart],
        "gap_sentences": gap_sentences,
        "own_rows": _own_rows(numbers),
        "group_figures": [figure for figure in figures if figure.name.startswith("by-")],
        "levels": levels,
        "colour": lambda level: colour_class(level, levels),
        "conditions": _conditions(numbers),
        "outcome_words": OUTCOME_WORDS,
        "reading_words": READING_WORDS,
        "cause_words": CAUSE_WORDS,
        "corpus_sentence": corpus_sentence(numbers["corpus"]),
        "grader_sentence": _of_grader(numbers),
        "kind_words": KIND_WORDS,
        "opinion_words": {x.value: x.value.lower().replace("_", " ") for x in Opinion},
        "unread_sentence": unread_sentence,
        "unread_advice": unread_advice(),
        "agents": {
            "symbolic": "by the symbolic check",
            "majority": "by a majority of the teacher's answers, for there is no key",
            "judge": "by the judge",
            "both": "by both",
            "person": "by a person",
        },
        "split_words": {
            "heldout": "held out",
            "kept": "kept to see what was lost",
            "train": "to train on",
            "valid": "for validation",
        },
        "flags": list(dict.fromkeys(f for x in numbers["corpus"]["lessons"] for f in x["flagged"])),
        "disagreements_shown": _DISAGREEMENTS_SHOWN,
        "overlaps_shown": _OVERLAPS_SHOWN,
    }


def _of_grader(numbers: Row) -> str:
    grader = numbers["grader"]
    return grader_sentence(grader, _DISAGREEMENTS_SHOWN) if grader else ""


def _trend(numbers: Row, place: Place, ladder: Row) -> str:
    levels = [
        x
        for x in numbers["levels"]
        if (x["set"], x["split"], x["group"]) == (place.set, place.split, "all")
    ]
    return trend_sentence(ladder, numbers["unread"], levels)


def _overlap_pairs(numbers: Row, place: Place) -> list[Row]:
    """Return the declared comparisons on the parts of a set; none for problems that were seen."""
    made = numbers["near_duplicates"]["comparisons"]
    return [c for c in made if not place.apart and c["set"] == place.set]


def _own_rows(numbers: Row) -> Row:
    """Return the primary set's rows by who they are of."""
    place = primary_place(numbers)
    rows = solver_rows(numbers, place) if place else []
    return {row["label"]: row for row in rows if not row["indent"] and row["n"]}


def _conditions(numbers: Row) -> list[Row]:
    """Return each condition with the names of those who answered under it."""
    found = []
    for condition in numbers["conditions"]:
        who = [
            (x["level"] or x["role"], x["set"], x["draws"])
            for x in numbers["levels"]
            if x["condition_id"] == condition["condition_id"] and x["group"] == "all"
        ]
        who = who or [("teacher", "the problems to be taught", 0)]  # which no score is of
        names, sets, draws = (list(dict.fromkeys(x)) for x in zip(*who, strict=True))
        found.append(condition | {"sets": sets, "who": names, "draws": draws})
    return found


def _environment(*, autoescape: bool) -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("potstill.report"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in phrases.__all__:
        environment.filters[name] = getattr(phrases, name)
    environment.filters["md"] = _markdown
    environment.filters["tight"] = _tight
    environment.globals.update(
        span=phrases.span, points=phrases.points, counted=_counted, several=phrases.several
    )
    return environment


def _finalize(value: object) -> object:
    """Return any text about to be written, its control characters made visible; markup as it is."""
    return phrases.shown(value) if type(value) is str else value


def _counted(counts: Row, names: Row | None = None) -> str:
    """Count in a line, zeros left out: 323 correct, 6 wrong."""
    called = names or {}
    found = [f"{phrases.count(n)} {called.get(name, name)}" for name, n in counts.items() if n]
    return ", ".join(found) or "none"


def _tight(text: str) -> str:
    """Return the text with its numbers held to their signs and units at a line's end."""
    return re.sub(r"(?<=\d) (?=%)|(?<=p [<=]) |(?<=\bp) (?=[<=])", "\N{NO-BREAK SPACE}", text)


def _markdown(text: object) -> str:
    """Return text that Markdown shows as it stands, on one line, in a table cell or out of one."""
    line = " ".join(phrases.clip(str(text)).split())
    return _MARKUP.sub(r"\\\1", line).replace(r"\<", "&lt;").replace(r"\&", "&amp;")
