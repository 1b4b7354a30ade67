"""Keys at intake: what is mended, what a solution gives, what nothing can be graded against."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from potstill.errors import InputError
from potstill.grading import grade
from potstill.grading.key_reading import KeyReader
from potstill.grading.maths.kinds import infer_kind
from potstill.problems import Imported, SourceConfig, guess_source, load_problems
from potstill.problems.mending import decimal_points, looks_comma, mend, mend_key, states_key
from potstill.records import ExclusionReason, NumberGold, Outcome, Problem, TextGold

READER = KeyReader()


def bring_in(folder: Path, *rows: dict[str, Any], **options: Any) -> Imported:
    path = folder / "t.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    source = SourceConfig("table", {"path": path, **options})
    return load_problems([source], infer=READER.kind, keys=READER)


@pytest.mark.parametrize(
    "key",
    [
        *("#REF!", "#N/A", "#VALUE!", "#DIV/0!", "#NAME?", "#BEZUG!", "#NV", "########"),
        *("N/A", "n.a.", "n/a", "TBD", "tbd.", "TODO", "to be determined", "NaN", "null", "xxx"),
        *("-", "--", "—", "?", "???", "...", "…", "*", "_", "[]"),
        *("see solution", "See solution.", "siehe Lösung", "cf. answer book", "voir corrigé"),
        *("answers vary", "Answers may vary.", "unknown", "not available", "no answer", "ditto"),
        *(
            "same as above",
            "[image]",
            "https://example.com/a.png",
            "figure3.png",
            "proof",
            "Q.E.D.",
        ),
        "The answer is that the triangle is isosceles because two sides are equal.",
        "Since 2+2=4 we have x=4.",
        "We first add 3 and 4 to get 7, therefore it is 7*2 = 14.",
        "First we write 3 as 2 + 1.\nThen we multiply.\nHence the product is fourteen.",
        "{'value': 3}",
        '{"value": 3}',
        "\\frac{1}{0}",
        "1/0",
        "(1, 2",
        "9" * 2_001,
    ],
)
def test_key_that_nothing_can_be_graded_against_is_excluded(tmp_path: Path, key: str) -> None:
    rows = [{"problem": "What is it?", "answer": key}, {"problem": "What is 2 + 2?", "answer": "4"}]
    imported = bring_in(tmp_path, *rows)
    assert [p.gold_text for p in imported.problems] == ["4"]
    (away,) = imported.excluded
    assert (away.id, away.key, away.reason) == ("t/1", key, ExclusionReason.BAD_KEY)
    assert away.detail


@pytest.mark.parametrize(
    "key",
    [
        *("0", "72.0", "-3/4", "$89$", "\\(89\\)", "\\frac{1}{2}", "½", "1,234", "12 apples", "$5"),
        *("x = 2 or x = -1", "(3, 4)", "[3, 4]", "{1, 2}", "∅", "no solution", "none", "None"),
        *("does not exist", "undefined", "infinite", "all real numbers", "True", "yes", "B", "(B)"),
        *("None of the above", "Monday", "March 4", "3:15 pm", "isosceles triangle", "Jim and Bob"),
        *("The first rest stop", "5 (get-well-soon kits)", "The men's track team", "#3", "f(x)=2x"),
        *(
            "all real numbers greater than 3 and less than or equal to 7",
            '["3/4", "0.75"]',
            "R",
            "ON",
        ),
    ],
)
def test_key_that_can_be_read_is_kept(tmp_path: Path, key: str) -> None:
    imported = bring_in(tmp_path, {"problem": "What is it?", "answer": key})
    assert [p.gold_text for p in imported.problems] == [key], imported.excluded


def test_kind_that_takes_any_text_keeps_any_key(tmp_path: Path) -> None:
    sentence = "Because two sides are equal, we know that it is isosceles."
    for kind in ("judge", "exact", "word"):
        row = {"problem": "Why?", "answer": sentence, "kind": kind}
        imported = bring_in(tmp_path, row, kind="kind")
        assert [p.kind for p in imported.problems] == [kind]
    imported = bring_in(tmp_path, {"problem": "Why?", "answer": sentence}, key_is="rubric")
    assert len(imported.problems) == 1
    row = {"problem": "Why?", "answer": "much", "kind": "numeric"}
    imported = bring_in(tmp_path, row, kind="kind")
    assert [away.detail for away in imported.excluded] == ["the key is not a number"]


def test_kind_that_does_not_exist_is_named_with_its_row(tmp_path: Path) -> None:
    rows = [
        {"problem": "a b?", "answer": 1, "id": "a", "kind": "integer"},
        {"problem": "c d?", "answer": 2, "id": "b", "kind": "a whole numbr"},
    ]
    with pytest.raises(InputError, match="line 2: there is no answer kind 'a whole numbr'"):
        bring_in(tmp_path, *rows, id="id", kind="kind")


def test_excluded_key_and_repeated_id_are_told_by_row(tmp_path: Path) -> None:
    rows = [
        {"problem": "What is 1 + 1?", "answer": "2", "id": "a"},
        {"problem": "What is 1 + 3?", "answer": "#REF!", "id": "b"},
        {"problem": "What is 1 + 1?", "answer": "2", "id": "a"},
    ]
    imported = bring_in(tmp_path, *rows, id="id")
    assert [away.detail for away in imported.excluded] == [
        "line 2: it says that there is none",
        "same text as a (line 3)",
    ]
    rows[2]["problem"] = "What is 1 + 9?"
    with pytest.raises(InputError, match=r"source table, line 1\) and .* \(source table, line 3\)"):
        bring_in(tmp_path, *rows, id="id")


@pytest.mark.parametrize(
    ("damaged", "meant"),
    [
        ("\x0crac{1}{2}", "\\frac{1}{2}"),
        ("$\x0corall x$", "$\\forall x$"),
        ("\x08oxed{3}", "\\boxed{3}"),
        ("$\x08eta$", "$\\beta$"),
        ("5 \text{ cm}", "5 \\text{ cm}"),
        ("\textbf{(A)} 3", "\\textbf{(A)} 3"),
        ("3 \times 4", "3 \\times 4"),
        ("\theta = 3", "\\theta = 3"),
        ("\triangle ABC", "\\triangle ABC"),
        ("x \neq 3", "x \\neq 3"),
        ("$x \ne 3$", "$x \\ne 3$"),
        ("$\tan x$ and\tan apple", "$\\tan x$ and\tan apple"),
        ("\\left( 3 \right)", "\\left( 3 \\right)"),
        ("\rho = 2", "\\rho = 2"),
        ("\x07lpha + \x0bec{v}", "\\alpha + \\vec{v}"),
    ],
)
def test_backslash_that_json_ate_is_put_back(damaged: str, meant: str) -> None:
    assert mend(damaged).text == meant
    assert mend(damaged).what == ("backslashes that JSON had eaten",)


@pytest.mark.parametrize(
    "sound",
    [
        *("Two lines.\nNot mended.\nequal parts\nnext\r\nright", "cells\there\tan\text here"),
        *("\\frac{1}{2} \\neq \\text{cm}", "a < b and b > c", "AT&T; R&D; x & y", "f(x)<g(x)</b"),
        "What does &lt; mean in HTML?",
        "def f():\n\treturn '&amp;'",
    ],
)
def test_sound_text_is_left_as_it_is(sound: str) -> None:
    assert mend(sound).text == sound
    assert mend(sound).what == ()


@pytest.mark.parametrize(
    ("page", "meant"),
    [
        ("3 &lt; x &le; 5", "3 < x ≤ 5"),
        ("&frac12; of 20", "½ of 20"),
        ("5&nbsp;cm and 6&amp;nbsp;cm", "5 cm and 6 cm"),
        ("Tom &amp; Ann: 3 &#215; 4", "Tom & Ann: 3 × 4"),
        ("x<sup>2</sup> + a<sub>12</sub>", "x^2 + a_{12}"),
        ("<p>What is <b>2 + 2</b>?<br/>Say.</p>", "What is 2 + 2?\nSay."),
    ],
)
def test_html_is_read_as_it_is_shown(page: str, meant: str) -> None:
    assert mend(page).text == meant


def test_formula_of_a_spreadsheet_is_its_text() -> None:
    assert mend_key('="1/2"').text == "1/2"
    assert mend_key('="say ""hi"""').text == 'say "hi"'
    assert mend_key("=5").text == "=5"


@pytest.mark.parametrize(
    "key", ["4-Mar", "04-Mar", "Mar-04", "3. Apr", "4. Mrz", "04.03.2026", "3/4/2026", "2026-03-04"]
)
def test_date_made_of_a_fraction_is_excluded_unless_a_date_is_asked_for(
    tmp_path: Path, key: str
) -> None:
    imported = bring_in(tmp_path, {"problem": "What is 1/2 + 1/4?", "answer": key})
    (away,) = imported.excluded
    assert "a date, and the problem asks for none (a spreadsheet makes one of 3/4" in away.detail
    imported = bring_in(tmp_path, {"problem": "On what date is the exam?", "answer": key})
    assert [p.gold_text for p in imported.problems] == [key]


@pytest.mark.parametrize(
    ("comma", "point"),
    [
        *(("126,00", "126.00"), ("1.234,5", "1234.5"), ("0,5 kg", "0.5 kg"), ("1.234", "1234")),
        *(("-3,25", "-3.25"), ("1,5; 2,5", "1.5; 2.5"), ("(0,5; 2)", "(0.5; 2)"), ("12", "12")),
        *(("0,125", "0.125"), ("1,234", "1.234"), ("-12,345", "-12.345"), ("$1,234$", "$1.234$")),
        *(("1,234; 2,5", "1.234; 2.5"), ("1'234,5", "1234.5"), ("1’234.567", "1234.567")),
        *(("(1,2)", "(1,2)"), ("\\left(1,2\\right)", "\\left(1,2\\right)"), ("{1,2}", "{1,2}")),
        *(("f(1,5)", "f(1.5)"), ("3(1,5)", "3(1.5)"), ("\\frac{1,5}{2}", "\\frac{1.5}{2}")),
        *(("1,234,567", "1,234,567"), ("1,234.5", "1,234.5"), ("(1,5; 2,5)", "(1.5; 2.5)")),
        *(("1.234.567,89 €", "1234567.89 €"), ("$0{,}75$", "$0.75$"), ("2, 3", "2, 3")),
        *(
            ("1 234,5", "1234.5"),
            ("1\u202f234\u202f567", "1234567"),
            ("7,5, also 8", "7.5, also 8"),
        ),
        *(("1,2,3", "1,2,3"), ("0.750", "0.750"), ("3/4", "3/4")),
    ],
)
def test_decimal_commas_become_points(comma: str, point: str) -> None:
    assert decimal_points(comma) == point


def test_column_of_decimal_commas_is_warned_of_and_read_where_the_source_says_so(
    tmp_path: Path,
) -> None:
    rows = [
        {"problem": "Was kostet es?", "answer": "126,00"},
        {"problem": "Wie schwer ist es?", "answer": "1.234,5"},
    ]
    warned = bring_in(tmp_path, *rows)
    (note,) = warned.notes
    assert "2 keys may have a decimal comma (126,00 of t/1, 1.234,5 of t/2)" in note
    read = bring_in(tmp_path, *rows, decimal="comma")
    assert [p.gold_text for p in read.problems] == ["126.00", "1234.5"]
    assert [p.kind for p in read.problems] == ["decimal", "decimal"]
    assert read.notes == ()
    numbers = bring_in(tmp_path, *rows, decimal="comma", key_is="number", tolerance=0.1)
    golds = [NumberGold(126.0, 0.1), NumberGold(1234.5, 0.1)]
    assert [p.gold for p in numbers.problems] == golds
    assert looks_comma("13,680") == looks_comma("1,234,567") == looks_comma("2, 3") == ""


PRICE = "What does the ticket cost?"


@pytest.mark.parametrize(
    "key",
    [
        *("3,5", "-2,75", "x = 3,5", "$3,5$", "3,5 kg", "€ 3,5", "1,5; 2,5", "0,125"),
        "1234,567",
    ],
)
def test_one_key_that_may_have_a_decimal_comma_is_told_with_both_remedies(
    tmp_path: Path, key: str
) -> None:
    rows = [{"problem": f"What is {n} + 2?", "answer": str(n + 2)} for n in range(40)]
    rows.insert(7, {"problem": PRICE, "answer": key})
    note = bring_in(tmp_path, *rows).notes[0]
    assert f"1 key may have a decimal comma ({key} of t/8); it is read as two values" in note
    assert "decimal: comma makes a number of it, decimal: point two values" in note
    comma = bring_in(tmp_path, *rows, decimal="comma")
    assert comma.problems[7].gold_text == key.replace(",", ".")
    assert comma.notes == ()
    point = bring_in(tmp_path, *rows, decimal="point")
    assert not [note for note in point.notes if "decimal comma" in note]


def test_source_that_says_point_has_two_values_in_any_language(tmp_path: Path) -> None:
    from potstill.grading import equal

    text = "Wie viel ist es? Berechne den Wert."
    (one,) = bring_in(tmp_path, {"problem": text, "answer": "3,5"}, decimal="point").problems
    assert equal(one.gold_text, "3; 5", one.kind, text).opinion.value == "EQUAL"
    assert equal(one.gold_text, "3.5", one.kind, text).opinion.value == "DIFFERENT"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        *(("1,000", PRICE), ("12,500", PRICE), ("1,234,567", PRICE), ("1,000.50", PRICE)),
        *(("1,2,3", PRICE), ("(3,5)", PRICE), ("[3,5]", PRICE), ("3, 5", PRICE), ("{3,5}", PRICE)),
        *(("(1,2); (3,4)", PRICE), ("3.5", PRICE), ("3,5,7,9", PRICE)),
        ("3,5", "Find all the roots of $x^2 - 8x + 15$."),
        ("3,5", "Which two numbers are they?"),
        ("3,5", "Enter the sides, separated by commas."),
        ("3,5", "What are $a$ and $b$, respectively?"),
    ],
)
def test_thousands_tuples_and_lists_are_no_decimal_commas(
    tmp_path: Path, key: str, text: str
) -> None:
    assert bring_in(tmp_path, {"problem": text, "answer": key}).notes == ()


def test_number_key_with_a_decimal_comma_is_not_read_without_it(tmp_path: Path) -> None:
    row = {"problem": PRICE, "answer": "3,5"}
    with pytest.raises(InputError, match=r"'3,5' is not a number; say decimal: comma"):
        bring_in(tmp_path, row, key_is="number")
    (read,) = bring_in(tmp_path, row, key_is="number", decimal="comma").problems
    assert read.gold == NumberGold(3.5, 0.0)
    row["answer"] = "1,234,567.5"
    (read,) = bring_in(tmp_path, row, key_is="number").problems
    assert read.gold == NumberGold(1234567.5, 0.0)


@pytest.mark.parametrize(
    ("key", "value"), [("0,125", 0.125), ("1,234", 1.234), ("1.234", 1234.0), ("1'234,5", 1234.5)]
)
def test_number_key_with_three_decimals_is_no_thousand_times_as_much(
    tmp_path: Path, key: str, value: float
) -> None:
    row = {"problem": PRICE, "answer": key}
    (read,) = bring_in(tmp_path, row, key_is="number", decimal="comma").problems
    assert read.gold == NumberGold(value, 0.0)


@pytest.mark.parametrize("key", ["0,125", "1234,567", "1,23,456", "1.234,5"])
def test_number_key_whose_commas_part_no_thousands_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match="is not a number"):
        bring_in(tmp_path, {"problem": PRICE, "answer": key}, key_is="number")


def test_number_that_is_no_text_keeps_its_point_under_decimal_comma(tmp_path: Path) -> None:
    from openpyxl import Workbook

    rows = [{"problem": PRICE, "answer": 1.234}, {"problem": "And what else?", "answer": [1.234]}]
    read = bring_in(tmp_path, *rows, decimal="comma").problems
    assert [p.gold_text for p in read] == ["1.234", "1.234"]
    book = Workbook()
    for cells in (["problem", "answer"], [PRICE, 1.234], ["And?", "1,234"], ["In all?", 0.01234]):
        book.active.append(cells)
    book.active["B4"].number_format = "0.000%"
    book.save(tmp_path / "t.xlsx")
    source = SourceConfig("table", {"path": tmp_path / "t.xlsx", "decimal": "comma"})
    read = load_problems([source], infer=READER.kind, keys=READER).problems
    assert [p.gold_text for p in read] == ["1.234", "1.234", "1.234%"]


@pytest.mark.parametrize("options", [{}, {"key_is": "number"}])
def test_three_digits_that_may_be_decimals_are_told(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    german = {"problem": "Wie schwer ist das Paket und der Inhalt?", "answer": "1,234"}
    english = {"problem": "What does it weigh?", "answer": "1,234"}
    (note,) = bring_in(tmp_path, german, **options).notes
    assert "1 key may be thousands or have three decimals (1,234 of t/1); it is read as" in note
    assert bring_in(tmp_path, english, **options).notes == ()
    assert bring_in(tmp_path, german, decimal="comma", **options).notes == ()
    if not options:
        other = {"problem": "And its lid?", "answer": "2,50"}
        commas, thousands = bring_in(tmp_path, english, other).notes
        assert "1 key may have a decimal comma (2,50 of t/2)" in commas
        assert "three decimals (1,234 of t/1)" in thousands


@pytest.mark.parametrize(
    ("key", "read"),
    [
        *(("10-20", "a subtraction"), ("555-1234", "a subtraction"), ("2024–25", "a subtraction")),
        *(("1,00,000", "several values"), ("12,34,567", "several values")),
        *(("12k", "a product"), ("1.5M", "a product"), ("3 Mio.", "a product")),
        *(("5 or 6", "a set of both values"), ("1/2 or 3/4", "a set of both values")),
        *(("5 ± 0.1", "two values"), ("9.8 \\pm 0.2", "two values"), ("2 to 3", "a ratio")),
        ("a) 3 b) 4", "parts that must all be right"),
    ],
)
def test_key_that_may_be_meant_otherwise_is_told(tmp_path: Path, key: str, read: str) -> None:
    note = bring_in(tmp_path, {"problem": PRICE, "answer": key}).notes[0]
    assert f"1 key may be meant otherwise ({key} of t/1); it is read as {read}. " in note
    row = {"problem": PRICE, "answer": key, "how": "exact"}
    assert bring_in(tmp_path, row, kind="how").notes == ()


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("12k", "Simplify $5k + 7k$."),
        ("5 or 6", "Solve $(x - 5)(x - 6) = 0$."),
        ("5 or 6", "What are all the possible ages?"),
        ("2 ± 1", "Which two numbers are they?"),
        ("2 to 3", "In what ratio are the sides?"),
        ("x = 5 or x = 6", PRICE),
        ("a) 3", PRICE),
        ("12,34,567", "Which three numbers are they?"),
        ("-5", PRICE),
        ("x-3", PRICE),
        ("1,234,567", PRICE),
        ("3m", PRICE),
    ],
)
def test_key_that_means_what_it_says_is_not_told(tmp_path: Path, key: str, text: str) -> None:
    assert bring_in(tmp_path, {"problem": text, "answer": key}).notes == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('<img src="a.png"> What is shown?', "1 problem shows an image that no model sees (t/1)"),
        ("![](fig1.png) What is its area?", "shows an image"),
        ("[Image 3] What is its area?", "shows an image"),
        ("b) And what is its half?", "1 problem leans on one before it (t/1)"),
        ("(iii) And its half?", "leans on one before it"),
        ("a) What is 2 + 2?", ""),
        ("Let [image] be f(A)... what is an image?", "shows an image"),
        ("What is the image of 3 under f?", ""),
        ("b(x) is what at 3?", ""),
        ("What is the sum of [2, 3]?", ""),
    ],
)
def test_problem_that_needs_what_no_model_sees_is_told(
    tmp_path: Path, text: str, told: str
) -> None:
    (note, *others) = bring_in(tmp_path, {"problem": text, "answer": "4"}).notes or ("",)
    assert told in note
    assert bool(note) == bool(told)
    assert not others


@pytest.mark.parametrize(
    "text", ["Total", "TOTAL:", "Sum", "Gesamtsumme", "Sub-total", "Average =", "Total points"]
)
def test_row_that_sums_the_others_is_excluded(tmp_path: Path, text: str) -> None:
    imported = bring_in(tmp_path, {"problem": text, "answer": "12"})
    assert [(x.reason, x.detail) for x in imported.excluded] == [
        (ExclusionReason.NO_TEXT, f"only {text!r}")
    ]
    asked = bring_in(tmp_path, {"problem": f"{text.rstrip(':= ')} of 5 and 7?", "answer": "12"})
    assert not asked.excluded


def test_comma_in_brackets_under_decimal_comma_is_told_as_a_pair(tmp_path: Path) -> None:
    read = bring_in(tmp_path, {"problem": "Which point?", "answer": "(1,2)"}, decimal="comma")
    assert [(p.gold_text, p.kind) for p in read.problems] == [("(1,2)", "tuple")]
    assert "a comma stands in brackets in 1 key ((1,2) of t/1); it is read as two" in read.notes[0]


def test_money_in_all_may_have_a_decimal_comma(tmp_path: Path) -> None:
    row = {"problem": "What do they cost in all?", "answer": "126,00"}
    (note,) = bring_in(tmp_path, row).notes
    assert "1 key may have a decimal comma (126,00 of t/1)" in note


def test_keys_beyond_the_grammar_are_told_by_row(tmp_path: Path) -> None:
    keys = ["150 minutes at 3 h", "12", "9 (apples)", "Paris", "3 h 20 min", "\\sum_{k=1}^n k"]
    rows = [{"problem": f"Question {n}?", "answer": key} for n, key in enumerate(keys)]
    imported = bring_in(tmp_path, *rows)
    assert len(imported.problems) == len(keys)
    (note,) = imported.notes
    assert note.startswith(
        "table: 1 key cannot be read as mathematics and is compared as text (150 minutes at 3 h "
        "of t/1): "
    )
    rows = [{"problem": "How long?", "answer": keys[0], "how": "exact"}]
    assert bring_in(tmp_path, *rows, kind="how").notes == ()
    several = {"problem": "How long?", "answer": ["150 minutes at 3 h", "150 minutes"]}
    assert bring_in(tmp_path, several).notes == ()


def test_key_without_a_letter_or_digit_is_not_called_empty(tmp_path: Path) -> None:
    rows = [
        {"problem": f"Which {n}?", "answer": key} for n, key in enumerate("😀%\N{ZERO WIDTH SPACE}")
    ]
    found = {x.key: x.detail for x in bring_in(tmp_path, *rows).excluded}
    assert found == {
        "😀": "it holds neither a letter nor a digit",
        "%": "it holds neither a letter nor a digit",
        "\N{ZERO WIDTH SPACE}": "the key is empty",
    }
    row = {"problem": "Which emoji?", "answer": "😀", "how": "exact"}
    (kept,) = bring_in(tmp_path, row, kind="how").problems
    assert kept.gold_text == "😀"


@pytest.mark.parametrize("key", ["???", "None given", "(content not visible)", "#REF!", "n/a"])
def test_key_that_says_there_is_none_is_bad_wherever_it_is_read(tmp_path: Path, key: str) -> None:
    from potstill.grading.maths.key_faults import key_problem

    row = {"problem": "How many?", "answer": key}
    (away,) = bring_in(tmp_path, row, {"problem": "How few?", "answer": "5"}).excluded
    assert away.detail == "it says that there is none"
    if any(map(str.isalnum, key)):
        assert key_problem(key, "integer") == "the key says that there is none"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("What is 2 + 2?", "abc"),
        ("What is 2 + 2?", "Abc"),
        ("Is 7 even?", "not sure"),
        ("Is 7 even?", "I don't know"),
        ("What is 1 + 5?", "=SUM(A1:A2)"),
        ("What is 1 + 1?", "=A1+B2"),
        ("Which is it?", "=IF(A1>2;3;4)"),
    ],
)
def test_key_that_was_typed_to_fill_the_field_is_none(tmp_path: Path, text: str, key: str) -> None:
    row = {"problem": text, "answer": key}
    (away,) = bring_in(tmp_path, row, {"problem": "How few?", "answer": "5"}).excluded
    assert away.detail == "it says that there is none"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("A box has sides a, b and c. What is its volume?", "abc"),
        ("Reverse the string cba.", "abc"),
        ("In triangle ABC, which angle is right?", "ABC"),
        ("Is it even? Answer yes, no or not sure.", "not sure"),
        ("What attacks the king in chess?", "check"),
        ("What is 1 + 2?", "=3"),
    ],
)
def test_key_that_its_problem_explains_is_kept(tmp_path: Path, text: str, key: str) -> None:
    (kept,) = bring_in(tmp_path, {"problem": text, "answer": key}).problems
    assert kept.gold_text == key


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("a) 3 b) 4", "list"),
        ("(a) 3; (b) 4", "list"),
        ("1) 5 2) 7", "list"),
        ("i) 2 ii) 3", "list"),
        ("a) yes b) no", "list"),
        ("b) 4", "letter"),
        ("B. Mars", "letter"),
    ],
)
def test_labels_of_parts_are_no_letters_of_a_choice(tmp_path: Path, key: str, kind: str) -> None:
    (kept,) = bring_in(tmp_path, {"problem": "Which?", "answer": key}).problems
    assert (kept.gold_text, kept.kind) == (key, kind)


def test_part_without_a_key_is_named(tmp_path: Path) -> None:
    row = {"problem": "Which?", "answer": "i) 5 ii) TBD"}
    (away,) = bring_in(tmp_path, row, {"problem": "How few?", "answer": "5"}).excluded
    assert away.detail == "part ii: the key says that there is none"


def test_solution_column_gives_the_keys_that_are_missing(tmp_path: Path) -> None:
    rows = [
        {"problem": "Solve 5x = 445.", "solution": "5x = 445, so x = 89.", "answer": ""},
        {"problem": "Solve 2x = 6.", "solution": "Halve: x = \\boxed{3}.", "answer": "$3$"},
        {"problem": "How many clips?", "solution": "48 + 24 = 72\n#### 72", "answer": None},
    ]
    imported = bring_in(tmp_path, *rows, solution="solution")
    assert [p.gold_text for p in imported.problems] == ["89", "$3$", "72"]
    (note,) = imported.notes
    assert "2 keys taken from the end of the worked solution (89 of t/1, 72 of t/3)" in note
    for row in rows:
        del row["answer"]
    imported = bring_in(tmp_path, *rows, solution="solution")
    assert [p.gold_text for p in imported.problems] == ["89", "3", "72"]


def test_any_alternative_is_right_and_no_other() -> None:
    from potstill.grading import equal

    key = '["3/4", "seventy-five percent"]'
    assert equal(key, "0.75").opinion.value == "EQUAL"
    assert equal(key, "4/3").opinion.value == "DIFFERENT"
    assert READER.fault(Problem("a", "x?", TextGold('["N/A", "3"]'), "integer", "s", {})) == ""
    assert READER.fault(Problem("a", "x?", TextGold('["N/A", "?"]'), "integer", "s", {})) != ""


def test_kind_of_alternatives_is_their_own(tmp_path: Path) -> None:
    keys = [["1", "2"], [1, 2], [7, 8, 9], ["Paris", "Lutetia"], ["1/2", "3/4"], "[1, 2]"]
    rows = [{"problem": f"What is {i}?", "answer": key} for i, key in enumerate(keys)]
    kinds = [problem.kind for problem in bring_in(tmp_path, *rows).problems]
    assert kinds == ["integer", "integer", "integer", "word", "fraction", "interval"]


def test_grouped_numbers_and_those_said_twice_are_numbers(tmp_path: Path) -> None:
    keys = {"1'000": "integer", "1.234.567": "integer", "7 (seven)": "integer", "0x1F": "base"}
    rows = [{"problem": f"What is {key}?", "answer": key} for key in keys]
    assert {p.gold_text: p.kind for p in bring_in(tmp_path, *rows).problems} == keys


def test_alternatives_hold_for_kinds_beyond_mathematics(tmp_path: Path) -> None:
    from potstill.grading import grade

    cases = (
        ("exact", ["Köln", "Cologne"], "Cologne", "Bonn"),
        ("choice", ["A", "C"], "C", "B"),
        ("numeric", [1.5, 2.5], "2.5", "2"),
    )
    for kind, keys, right, wrong in cases:
        row = {"problem": f"Which one ({kind})?", "answer": keys, "kind": kind}
        (problem,) = bring_in(tmp_path, row, kind="kind").problems
        assert grade(problem, right).outcome is Outcome.CORRECT
        assert grade(problem, str(keys[0])).outcome is Outcome.CORRECT
        assert grade(problem, wrong).outcome is Outcome.WRONG


def test_real_keys_are_all_kept(data: Path) -> None:
    for name, count in (("competition", 637), ("math500.csv", 500), ("aime/aime.jsonl", 975)):
        imported = load_problems([guess_source(data / name)], infer=READER.kind, keys=READER)
        assert len(imported.problems) == count
        assert not [x for x in imported.excluded if x.reason is ExclusionReason.BAD_KEY]
        assert imported.notes == ()


def test_row_that_begins_a_quote_is_named_and_not_the_last(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('problem,answer\n"What is 2 + 2?,4\nWhat is 3 + 3?,6\nWhat is 4 + 4?,8\n')
    source = SourceConfig("table", {"path": path})
    with pytest.raises(InputError, match=r"t\.csv line 2: .*opened and never closed"):
        load_problems([source], infer=READER.kind, keys=READER)
    path.write_text('problem,answer\nWhat is 1 + 1?,2\n"What is 2 + 2?,4\n"What is 3 + 3?",6\n')
    with pytest.raises(InputError, match=r"line 4, in the row that begins in line 3: "):
        load_problems([source], infer=READER.kind, keys=READER)


def test_json_on_one_line_is_named_by_row(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    rows = [{"problem": "What is 2 + 2?", "answer": 4}, {"problem": "What?", "answer": {"a": 1}}]
    path.write_text(json.dumps(rows))
    with pytest.raises(InputError, match=r"t\.json row 2: the key in column 'answer' is an object"):
        load_problems([SourceConfig("table", {"path": path})], infer=READER.kind, keys=READER)


def test_number_that_no_float_holds_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text('[{"problem": "What is it?", "answer": 1e400}]')
    with pytest.raises(InputError, match=r"row 1: .*beyond what a float holds"):
        load_problems([SourceConfig("table", {"path": path})], infer=READER.kind, keys=READER)


def test_workbook_names_its_sheets_and_cut_digits(tmp_path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    cover = book.active
    assert cover is not None
    cover.title = "Cover"
    cover["A1"] = "My exams"
    sheet = book.create_sheet("2017")
    for row in (
        ["problem", "answer"],
        ["How many grains of sand?", 1.23456789012346e19],
        ["How many ants?", 12345678901234567890],
        ["How many stars?", 1e20],
        ["How many apples?", 7],
    ):
        sheet.append(row)
    path = tmp_path / "t.xlsx"
    book.save(path)
    with pytest.raises(InputError, match=r"its sheet 'Cover',.*Not read: '2017'; --sheet NAME"):
        guess_source(path)
    source = SourceConfig("table", {"path": path, "sheet": "2017"})
    imported = load_problems([source], infer=READER.kind, keys=READER)
    assert [x.text for x in imported.excluded] == ["How many grains of sand?", "How many ants?"]
    assert all("more than 15 digits" in x.detail for x in imported.excluded)
    assert [p.gold_text for p in imported.problems] == ["1e+20", "7"]


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("9 (apples)", "integer"),
        ("12 (star-shaped stones)", "integer"),
        ("9 (quarters)", "integer"),
        ("12.5 (km)", "quantity"),
        ("350 (g)", "quantity"),
        ("7 (eight)", "expression"),
        ("5 (x)", "expression"),
    ],
)
def test_what_a_key_counts_in_brackets_is_no_part_of_it(key: str, kind: str) -> None:
    assert infer_kind(key) == kind
    read = kind in ("integer", "quantity")
    bare = key.partition(" ")[0]
    problem = Problem("p", "How many?", TextGold(key), kind, "t")
    assert (grade(problem, f"\\boxed{{{bare}}}").outcome is Outcome.CORRECT) == read


@pytest.mark.parametrize("key", ["2024-03-25", "25-03-2024"])
def test_date_is_no_subtraction(tmp_path: Path, key: str) -> None:
    row = {"problem": "On which day does the term begin?", "answer": key}
    assert bring_in(tmp_path, row).notes == ()


def test_ratio_of_three_that_no_spreadsheet_wrote_is_kept(tmp_path: Path) -> None:
    text = "Determine the ratio of x : y : z."
    for key, kept in (("15:13:12", True), ("15:13:00", False), ("03:04:05", False)):
        imported = bring_in(tmp_path, {"problem": text, "answer": key})
        assert bool(imported.problems) is kept


@pytest.mark.parametrize(
    ("text", "key", "stated"),
    [
        ("What is 2 + 2? Answer: 4", "4", True),
        ("What is 7 * 3?\n(Solution: 21)", "21", True),
        ("Find it. The answer is **$5$**.", "5", True),
        ("Was ist 2 + 2? Antwort: 4", "4", True),
        ("What is 5?", "5", False),
        ("Give the answer: 44", "4", False),
        ("Answer:", "", False),
    ],
)
def test_a_problem_that_ends_in_its_key_is_told(
    tmp_path: Path, text: str, key: str, stated: bool
) -> None:
    assert states_key(text, key) == stated
    if key:
        notes = bring_in(tmp_path, {"problem": text, "answer": key}).notes
        assert any("in the key, so nothing is left to be solved" in x for x in notes) == stated


def test_three_digits_behind_a_point_of_euros_are_warned_of(tmp_path: Path) -> None:
    told = bring_in(tmp_path, {"problem": "What does it cost?", "answer": "€ 1.200"}).notes
    assert any("may be thousands" in note for note in told)
