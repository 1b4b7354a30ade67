"""Tables as spreadsheets, exports and other tools really write them: each is read, or named.

The shapes are those of public reports on readers of tables (pandas, datasets, promptfoo, langchain,
unstructured) and of what Excel does to a fraction.
"""

from __future__ import annotations

import datetime
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from potstill.errors import InputError
from potstill.grading.key_reading import KeyReader
from potstill.problems import Columns, Imported, guess_source, load_problems

READER = KeyReader()
GUESSED = Columns()
TWO = [("What is 2 + 2?", "4"), ("What is 3 + 5?", "8")]


@dataclass(frozen=True)
class Read:
    """A table that is read: its problems and keys, and a word of what is said about it."""

    name: str
    content: bytes
    problems: list[tuple[str, str]]
    said: str = ""
    columns: Columns = GUESSED


@dataclass(frozen=True)
class Named:
    """A table that is refused in one sentence, which says this."""

    name: str
    content: bytes
    said: str
    columns: Columns = GUESSED


def text(lines: str, encoding: str = "utf-8") -> bytes:
    return lines.encode(encoding)


def book(rows: list[list[Any]], change: Callable[[Any], object] = lambda sheet: None) -> bytes:
    """Write a workbook of one sheet, changed as a person would in Excel."""
    from openpyxl import Workbook

    workbook = Workbook()
    for row in rows:
        workbook.active.append(row)
    change(workbook.active)
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


def jsonl(*rows: dict[str, Any]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


HEADER = ["question", "answer"]
ROWS = [HEADER, ["What is 2 + 2?", 4], ["What is 3 + 5?", 8]]


def percent(sheet: Any) -> None:
    sheet["B2"].number_format = "0.0%"


def rounded(sheet: Any) -> None:
    sheet["B2"].number_format = "0.00"
    sheet["B3"].number_format = "#,##0.0"


def third(sheet: Any) -> None:
    sheet["B2"].number_format = "# ?/?"


def merged_title(sheet: Any) -> None:
    sheet.insert_rows(1, 2)
    sheet["A1"] = "Final exams 2016"
    sheet.merge_cells("A1:B1")


def merged_years(sheet: Any) -> None:
    sheet.merge_cells("C2:C3")


def raised(sheet: Any) -> None:
    from openpyxl.cell.rich_text import CellRichText, TextBlock
    from openpyxl.cell.text import InlineFont

    sheet["A2"] = CellRichText(
        "What is x", TextBlock(InlineFont(vertAlign="superscript"), "2"), "?"
    )


def second_sheet(sheet: Any) -> None:
    other = sheet.parent.create_sheet("2017")
    sheet.title = "2016"
    for row in (HEADER, ["What is 9 - 2?", 7]):
        other.append(row)


def styled_to_the_end(sheet: Any) -> None:
    from openpyxl.styles import Font

    sheet.cell(1_048_576, 16_384).font = Font(bold=True)


def hidden_row(sheet: Any) -> None:
    sheet.row_dimensions[3].hidden = True


def one_key_for_two(sheet: Any) -> None:
    sheet.merge_cells("B2:B3")


def drawn_on(sheet: Any) -> None:
    from openpyxl.drawing.image import Image
    from PIL import Image as Pixels

    file = io.BytesIO()
    Pixels.new("RGB", (2, 2)).save(file, "png")
    sheet.add_image(Image(file), "D2")


def hidden_first(sheet: Any) -> None:
    sheet.parent.create_sheet("Cover", 0)


GOOD = [
    Read("plain.csv", text("question,answer\nWhat is 2 + 2?,4\nWhat is 3 + 5?,8\n"), TWO),
    Read(
        "bom.csv", text("question,answer\nWhat is 2 + 2?,4\nWhat is 3 + 5?,8\n", "utf-8-sig"), TWO
    ),
    Read(
        "semicolons.csv",
        text("question;answer\r\nWhat is 2 + 2?;4\r\nWhat is 3 + 5?;8\r\n"),
        TWO,
        "parted by semicolons",
    ),
    Read("sep.csv", text("sep=;\r\nquestion;answer\r\nWhat is 2 + 2?;4\r\nWhat is 3 + 5?;8"), TWO),
    Read(
        "sep-quoted.csv", text('"sep=|"\nquestion|answer\nWhat is 2 + 2?|4\nWhat is 3 + 5?|8'), TWO
    ),
    Read("tabs.csv", text("question\tanswer\nWhat is 2 + 2?\t4\nWhat is 3 + 5?\t8\n"), TWO, "tabs"),
    Read(
        "commas.tsv", text("question,answer\nWhat is 2 + 2?,4\nWhat is 3 + 5?,8\n"), TWO, "commas"
    ),
    Read(
        "commas-in-text.csv",
        text("question;answer\nAdd 1, 2 and 3, please.;6\nAdd 4, 5.;9\n"),
        [("Add 1, 2 and 3, please.", "6"), ("Add 4, 5.", "9")],
    ),
    Read(
        "semicolons-in-text.csv",
        text('question,answer\n"Take 2; add 3.",5\n"Take 4; add 1; stop.",5\n'),
        [("Take 2; add 3.", "5"), ("Take 4; add 1; stop.", "5")],
    ),
    Read(
        "cp1252.csv",
        text(
            "Frage;Antwort\nWie groß ist die Fläche?;25\nWie viele Äpfel sind übrig?;3\n", "cp1252"
        ),
        [("Wie groß ist die Fläche?", "25"), ("Wie viele Äpfel sind übrig?", "3")],
        "read as cp1252",
    ),
    Read(
        "smart-quotes.csv",
        text("question,answer\nIt’s “5 °C” – what is ½ of 20?,10\nAnd 5 × 4?,20\n", "cp1252"),
        [("It’s “5 °C” – what is ½ of 20?", "10"), ("And 5 × 4?", "20")],
        "--encoding NAME",
    ),
    Read(
        "cyrillic.csv",
        text("вопрос;ответ\nСколько яблок осталось у Пети?;3\nСколько груш у Маши?;4\n", "cp1251"),
        [("Сколько яблок осталось у Пети?", "3"), ("Сколько груш у Маши?", "4")],
        "read as cp1251",
    ),
    Read(
        "mac.csv",
        text("question,answer\nWie groß?,4\nWie schön?,8\n", "mac_roman"),
        [("Wie groß?", "4"), ("Wie schön?", "8")],
        columns=Columns(encoding="mac_roman"),
    ),
    Read(
        "spaces-before-quotes.csv",
        text('question, answer\n"Add 1, then 2.", "3"\n"Add 4, then 5.", "9"\n'),
        [("Add 1, then 2.", "3"), ("Add 4, then 5.", "9")],
    ),
    Read(
        "short-solutions.csv",
        text(
            "question,solution\nWhat is 2 + 2?,We add them and get 4.\n"
            "What is 3 + 5?,We see that it is 8.\n"
        ),
        TWO,
        "worked solutions from 'solution'",
    ),
    Read(
        "answer-key.csv",
        text(
            "Question,answerKey,rationale\nWhat is 2 + 2?,4,We add two and two to get it.\n"
            "What is 3 + 5?,8,We add three and five to get it.\n"
        ),
        TWO,
        "key from 'answerKey', worked solutions from 'rationale'",
    ),
    Read(
        "passed-over.csv",
        text("Question,Outcome,Solution\nWhat is 2 + 2?,x,4\nWhat is 3 + 5?,y,8\n"),
        TWO,
        "key from 'Solution'; the column 'Outcome' is not read: --key names another key",
    ),
    Read(
        "context.csv",
        text("context,question,answer\nTwo cats,What is 2 + 2?,4\nA dog,What is 3 + 5?,8\n"),
        TWO,
        "the column 'context' is no part of the text: write it into it",
    ),
    Read(
        "places.jsonl",
        jsonl(
            {"question": "What is 2 + 2?", "choices": ["3", "5", "4"], "answer": 2},
            {"question": "What is 3 + 5?", "choices": ["8", "5"], "answer": 0},
        ),
        [("What is 2 + 2?", "2"), ("What is 3 + 5?", "0")],
        "the keys in 'answer' are places among them, counted from 0",
    ),
    Read(
        "no-solutions.csv",
        text("question,answer,solution\nWhat is 2 + 2?,4,\nWhat is 3 + 5?,8, \n"),
        TWO,
        "worked solutions from 'solution' (empty in all of its 2 rows)",
    ),
    Read(
        "loesung.csv",
        text(
            "Frage;Antwort;Lösung\nWas ist 2 + 2?;4;Man zählt zwei und zwei zusammen, das ist 4.\n"
            "Was ist 3 + 5?;;Man zählt drei und fünf zusammen, das ist 8.\n"
        ),
        [("Was ist 2 + 2?", "4"), ("Was ist 3 + 5?", "8")],
        "key from 'Antwort', worked solutions from 'Lösung'",
    ),
    Read(
        "antwort.csv",
        text(
            "Frage;Antwort;Lösung\nWas ist 2 + 2?;Man zählt zwei und zwei zusammen, das ist 4.;4\n"
            "Was ist 3 + 5?;Man zählt drei und fünf zusammen, das ist 8.;8\n"
        ),
        [("Was ist 2 + 2?", "4"), ("Was ist 3 + 5?", "8")],
        "key from 'Lösung', worked solutions from 'Antwort'",
    ),
    Read(
        "choices.csv",
        text("question,A,B,C,answer\nWhat is 2 + 2?,3,4,5,B\n"),
        [("What is 2 + 2?", "B")],
        "the choices in columns A, B, C are no part of the text",
    ),
    Read(
        "options.csv",
        text("question,option1,option2,option3,answer\nWhat is 2 + 2?,3,4,5,2\n"),
        [("What is 2 + 2?", "2")],
        "the choices in columns option1, option2, option3 are no part of the text",
    ),
    Read(
        "list-of-choices.jsonl",
        jsonl({"question": "What is 2 + 2?", "choices": ["3", "4"], "answer": "B"}),
        [("What is 2 + 2?", "B")],
        "the choices in column 'choices' are no part of the text",
    ),
    Read(
        "two-languages.csv",
        text("question,answer\nFrage,Antwort\nWhat is 2 + 2?,4\nWhat is 3 + 5?,8\nSumme:,12\n"),
        TWO,
    ),
    Read(
        "mixed.csv",
        b"question,answer\n" + text("Wie groß?,4\n", "cp1252") + text("Wie schön ist 5?,5\n"),
        [("Wie groß?", "4"), ("Wie schÃ¶n ist 5?", "5")],
        "some of it may be; it was read as cp1252 (such as '",
    ),
    Read(
        "half-a-character.jsonl",
        b'{"question": "What is \\ud83d 2 + 2?", "answer": 4}',
        [("What is \ud83d 2 + 2?", "4")],
    ),
    Read(
        "wide.json",
        json.dumps([{"question": q, "answer": a} for q, a in TWO]).encode("utf-16"),
        TWO,
    ),
    Read(
        "joined.csv",
        text("question,answer\nWhat is 2 + 2?,4\nquestion,answer\nWhat is 3 + 5?,8\n"),
        TWO,
    ),
    Read(
        "unseen-marks.csv",
        text("\u200bquestion,\ufeffanswer\nWhat is 2 + 2?,4\nWhat is 3 + 5?,8\n"),
        TWO,
    ),
    Read(
        "comma.csv",
        text("Frage;Lösungsweg\nPreis?;3 * 42,5 = 127,5, also 127,50 Euro.\nWas?;So ist es 8.\n"),
        [("Preis?", "127.5"), ("Was?", "8")],
        columns=Columns(decimal="comma", solution="Lösungsweg"),
    ),
    Read(
        "utf16.csv", text("question\tanswer\nWhat is 2 + 2?\t4\nWhat is 3 + 5?\t8", "utf-16"), TWO
    ),
    Read(
        "utf16le.csv",
        text("question,answer\nWhat is 2 + 2?,4\nWhat is 3 + 5?,8\n", "utf-16-le"),
        TWO,
    ),
    Read(
        "utf16be.csv",
        text("question,answer\nWhat is 2 + 2?,4\nWhat is 3 + 5?,8\n", "utf-16-be"),
        TWO,
    ),
    Read(
        "utf16.jsonl",
        jsonl(*({"question": q, "answer": a} for q, a in TWO)).decode().encode("utf-16"),
        TWO,
    ),
    Read("cr.csv", text("question,answer\rWhat is 2 + 2?,4\rWhat is 3 + 5?,8\r"), TWO),
    Read(
        "trailing-commas.csv",
        text("question,answer,,\nWhat is 2 + 2?,4,,\nWhat is 3 + 5?,8,,\n,,,\n,,,\n"),
        TWO,
    ),
    Read(
        "empty-rows.csv",
        text("\n\nquestion,answer\n\nWhat is 2 + 2?,4\n,\nWhat is 3 + 5?,8\n"),
        TWO,
    ),
    Read(
        "title.csv",
        text(
            "Final exams 2016,,\nSchool of X,,\n,,\nnr,question,answer\n"
            "1,What is 2 + 2?,4\n2,What is 3 + 5?,8\n"
        ),
        TWO,
        "passed over",
    ),
    Read(
        "spaces-in-names.csv",
        text(" Question , Answer \nWhat is 2 + 2?,4\nWhat is 3 + 5?,8\n"),
        TWO,
    ),
    Read(
        "pandas-index.csv",
        text(",question,answer\n0,What is 2 + 2?,4\n1,What is 3 + 5?,8\n"),
        TWO,
        "the first column has no name",
    ),
    Read(
        "quotes.csv",
        text('question,answer\n"He said ""2 + 2"" is, what?",4\n"two\nlines",8\n'),
        [('He said "2 + 2" is, what?', "4"), ("two\nlines", "8")],
    ),
    Read(
        "inches.csv",
        text('question,answer\nA 5" pipe and a 2" pipe?,7"\nWhat is 3 + 5?,8\n'),
        [('A 5" pipe and a 2" pipe?', '7"'), TWO[1]],
    ),
    Read(
        "formulas.csv",
        text('question,answer\nHalf of one?,"=""1/2"""\nWhat is 3 + 5?,8\n'),
        [("Half of one?", "1/2"), TWO[1]],
        'a spreadsheet\'s ="..." mended in 1 problem',
    ),
    Read(
        "repeated-ids.csv",
        text("id,question,answer\n1,What is 2 + 2?,4\n1,What is 3 + 5?,8\n"),
        TWO,
        "'1' in lines 2 and 3",
    ),
    Read(
        "missing-id.csv",
        text("id,question,answer\na,What is 2 + 2?,4\n,What is 3 + 5?,8\n"),
        TWO,
        "'id' is empty in line 3",
    ),
    Read(
        "said.csv",
        text("Stem;Correct;Other\nWhat is 2 + 2?;4;x\nWhat is 3 + 5?;8;y\n"),
        TWO,
        columns=Columns(text="Stem", key="Correct"),
    ),
    Read(
        "bars.csv",
        text("question^answer\nWhat is 2 + 2?^4\nWhat is 3 + 5?^8\n"),
        TWO,
        columns=Columns(delimiter="^"),
    ),
    Read(
        "gsm8k.jsonl",
        jsonl(
            {"question": "Clips?", "answer": "She sold 48/2 = <<48/2=24>>24 clips.\n#### 72"},
            {"question": "And pens?", "answer": "That is 3 + 5 = <<3+5=8>>8 pens in all.\n#### 8"},
        ),
        [("Clips?", "72"), ("And pens?", "8")],
        "taken from the end of the worked solution",
    ),
    Read(
        "boxed.csv",
        text("question,answer\nWhat is 2 + 2?,so $x = \\boxed{4}$\nWhat is 3 + 5?,8\n"),
        TWO,
        "1 key held a worked solution",
    ),
    Read(
        "alternatives.jsonl",
        jsonl(
            {"question": "Three quarters?", "answer": ["3/4", "0.75"]},
            {"question": "What is 3 + 5?", "answer": [8]},
        ),
        [("Three quarters?", '["3/4", "0.75"]'), TWO[1]],
    ),
    Read(
        "nan.jsonl",
        b'{"question": "What is 2 + 2?", "answer": 4.0}\n{"question": "x y?", "answer": NaN}',
        TWO[:1],
    ),
    Read(
        "wrapped.json",
        json.dumps({"data": [{"question": q, "answer": a} for q, a in TWO]}).encode(),
        TWO,
    ),
    Read("plain.xlsx", book(ROWS), TWO),
    Read("title.xlsx", book(ROWS, merged_title), TWO, "passed over"),
    Read("merged.xlsx", book([[*HEADER, "year"], [*ROWS[1], 2016], [*ROWS[2]]], merged_years), TWO),
    Read(
        "percent.xlsx",
        book([HEADER, ["Share?", 0.25], ROWS[2]], percent),
        [("Share?", "25%"), TWO[1]],
    ),
    Read(
        "third.xlsx", book([HEADER, ["Third?", 1 / 3], ROWS[2]], third), [("Third?", "1/3"), TWO[1]]
    ),
    Read(
        "rounded.xlsx",
        book([HEADER, ["Two thirds?", 2 / 3], ["What is 1.2 + 1.3?", 2.5]], rounded),
        [("Two thirds?", "0.666666666666667"), ("What is 1.2 + 1.3?", "2.5")],
        "1 number in the sheet (B2) holds more digits than the sheet shows: B2 is read as "
        "0.666666666666667, not as it is shown (0.00)",
    ),
    Read("noise.xlsx", book([HEADER, ["Sum?", 0.1 + 0.2], ROWS[2]]), [("Sum?", "0.3"), TWO[1]]),
    Read("raised.xlsx", book(ROWS, raised), [("What is x^{2}?", "4"), TWO[1]]),
    Read("sheets.xlsx", book(ROWS, second_sheet), TWO, "'2016' is read and not '2017'"),
    Read(
        "sheet.xlsx",
        book(ROWS, second_sheet),
        [("What is 9 - 2?", "7")],
        columns=Columns(sheet="2017"),
    ),
    Read("cover.xlsx", book(ROWS, hidden_first), TWO),
    Read("styled.xlsx", book(ROWS, styled_to_the_end), TWO),
    Read("hidden.xlsx", book(ROWS, hidden_row), TWO, "1 hidden row (3) is read too"),
    Read(
        "merged-keys.xlsx",
        book([HEADER, ["What is 2 + 2?", 4], ["What is 3 + 1?"]], one_key_for_two),
        [("What is 2 + 2?", "4"), ("What is 3 + 1?", "4")],
        "cells merged over several rows (B2:B3) are read in each of these rows",
    ),
    Read("drawing.xlsx", book(ROWS, drawn_on), TWO, "1 image in the sheet is not read"),
    Read("total.xlsx", book([*ROWS, [None, None], ["Total", 12]]), TWO),
    Read("holes.xlsx", book([ROWS[0], [None, None], ROWS[1], [], ROWS[2]]), TWO),
]

BAD = [
    Named("no-header.csv", text("What is 2 + 2?,4\nWhat is 3 + 5?,8\n"), "first line must hold"),
    Named("unquoted.csv", text("question,answer\nAdd 1, 2 and 3.,6\n"), "line 2: 3 cells under 2"),
    Named(
        "unnamed.csv",
        text("question,,answer\nWhat is 2 + 2?,x,4\n"),
        "line 2: 'x' stands in column 2, which has no name",
    ),
    Named("escaped.csv", text('question,answer\n"say \\"hi\\" now",3\n'), 'is doubled \\(""\\)'),
    Named("open-quote.csv", text('question,answer\n"What is 2 + 2?,4\nb,5\n'), "never closed"),
    Named(
        "short-row.csv",
        text("question,answer\na b?,1\nSource: exam board\n"),
        r"line 3: 1 cell under 2 column names; fill that row in, or delete it",
    ),
    Named(
        "two-headers.xlsx",
        book([["Problem", None, "Key"], ["nr", "text", "value", "unit"], [1, "a b?", 4, "cm"]]),
        "row 2: 4 cells under 3 column names; name every column in one line",
    ),
    Named(
        "headings.csv",
        text("Exam,Exam,Key\nnr,question,answer\n1,a b?,2\n"),
        "the column 'Exam' twice; rename one, or delete a line of headings",
    ),
    Named(
        "case.csv",
        text("question,Answer,answer\na b?,1,2\n"),
        "two columns that may be the key, 'Answer' and 'answer'; name one with --key",
    ),
    Named(
        "alpaca.jsonl",
        jsonl({"instruction": "Add the numbers.", "input": "2 and 3", "output": "5"}),
        "the columns 'instruction' and 'input', and a problem's text may be both; join them",
    ),
    Named(
        "two-answers.csv",
        text("Question,Resolved answer,Explanation\nWhat is 2 + 2?,4,Two and two make 4.\n"),
        "no column that looks like the key",
    ),
    Named("map.json", b'{"What is 2 + 2?": 4}', r"a table in JSON is \[\{"),
    Named("list.jsonl", b'[{"question": "a b?", "answer": 1}]', r"line 1: a list .* \.json"),
    Named("twice.csv", text("question,answer,answer\na b?,1,2\n"), "the column 'answer' twice"),
    Named(
        "half-utf8.csv",
        "question,answer\nWie groß für Äpfel, Öl und Übung?,1\n".encode() * 3 + b"Gr\xfc\xdfe?,2\n",
        "line 7: not UTF-8 text, though the rest is",
    ),
    Named("quoted.csv", text('"question,answer"\n"What is 2 + 2?,4"\n'), "in quotes as a whole"),
    Named("delimiter.csv", text("a;;b\n"), "no delimiter ';;'", Columns(delimiter=";;")),
    Named(
        "one-column.csv",
        text("question\nWhat is 2?\nWhat is 3, or 4?\n"),
        "line 3: 2 cells under 1",
    ),
    Named("none.jsonl", b"", "is empty"),
    Named("header.csv", text("question,answer\n"), "holds no rows"),
    Named("zip.csv", book(ROWS), r"Excel workbook is one\); name it \.xlsx"),
    Named("csv.xlsx", text("question,answer\na b?,1\n"), "is no Excel workbook"),
    Named("old.csv", b"\xd0\xcf\x11\xe0" + b"\0" * 64, "old Excel; save it as"),
    Named("page.csv", text("<html><table><tr><td>a</td></tr></table></html>"), "is a web page"),
    Named("old.xls", b"\xd0\xcf\x11\xe0", "save it as .xlsx or CSV UTF-8"),
    Named("sheet.ods", b"PK", "save it as .xlsx or CSV UTF-8"),
    Named("exam.docx", b"PK", "copy its problems into a spreadsheet"),
    Named("exam.pdf", b"%PDF", "copy its problems into a spreadsheet"),
    Named("packed.csv.gz", gzip.compress(b"question,answer\n"), "unpack it first"),
    Named("lines.json", jsonl(*({"question": q, "answer": a} for q, a in TWO)), "is named .jsonl"),
    Named("list.jsonl", b'[\n{"question": "a b?", "answer": 1}\n]\n', "name it .json"),
    Named("columns.json", b'{"question": {"0": "a b?"}, "answer": {"0": 1}}', "orient='records'"),
    Named(
        "object.jsonl",
        jsonl({"question": "a b?", "answer": {"value": 3}}),
        "line 1: the key in column 'answer' is an object",
    ),
    Named("nested.jsonl", jsonl({"question": "a b?", "answer": [["1"]]}), "within a list"),
    Named(
        "list-text.jsonl", jsonl({"question": ["a", "b"], "answer": "1"}), "'question' holds a list"
    ),
    Named("column.csv", text("Stem,answer\na b?,1\n"), "did you mean 'Stem'", Columns(text="stem")),
    Named("sheet.xlsx", book(ROWS, second_sheet), "no sheet '2018'", Columns(sheet="2018")),
    Named(
        "formula.xlsx", book([HEADER, ["Half?", "=1/2"]]), "the cell B2 of 'Sheet' holds a formula"
    ),
    Named("empty.xlsx", book([]), "is empty"),
    Named(
        "slash.jsonl",
        b'{"question": "a b?", "answer": "\\\\q"}\n{"question": "c", "answer": "\\q"}',
        r"line 2: not valid JSON \(a backslash that begins no escape.*at character 30\)",
    ),
    Named("single.jsonl", b"{'question': 'a b?'}", "a name without double quotes"),
    Named(
        "repeated.jsonl",
        b'{"question": "a b?", "answer": 1}\n{"question": "c d?", "answer": 1, "answer": 2}\n',
        "line 2: the name 'answer' stands twice in one object",
    ),
    Named(
        "repeated.json",
        b'[\n{"question": "a?",\n "answer": 1},\n{"question": "c?",\n "answer": {"a": 1, "a": 2}}]',
        "line 5: the name 'a' stands twice in one object",
    ),
    Named("sheets.csv", text("question,answer\na b?,1\n"), "has no sheets", Columns(sheet="a")),
    Named(
        "name.csv",
        text("question,answer\na b?,1\n"),
        "no encoding 'utf9'",
        Columns(encoding="utf9"),
    ),
]


def bring_in(folder: Path, case: Read | Named) -> tuple[Imported, str]:
    path = folder / case.name
    path.write_bytes(case.content)
    source = guess_source(path, case.columns)
    imported = load_problems([source], infer=READER.kind, keys=READER)
    return imported, " / ".join((source.why, *imported.notes))


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_awkward_table_is_read(tmp_path: Path, case: Read) -> None:
    imported, said = bring_in(tmp_path, case)
    assert [(p.text, p.gold_text) for p in imported.problems] == case.problems
    assert case.said in said


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_awkward_table_is_named(tmp_path: Path, case: Named) -> None:
    with pytest.raises(InputError, match=case.said) as caught:
        bring_in(tmp_path, case)
    assert case.name in str(caught.value) or case.columns != GUESSED


@pytest.mark.parametrize("columns", ["a,b", "1,2,3", "option1,option2", "total,mean,rank"])
def test_columns_that_are_no_choices_are_not_called_so(tmp_path: Path, columns: str) -> None:
    cells = ",".join(str(n) for n in range(columns.count(",") + 1))
    table = text(f"question,{columns},answer\nWhat is 2 + 2?,{cells},4\n")
    imported, said = bring_in(tmp_path, Read("t.csv", table, []))
    assert [p.gold_text for p in imported.problems] == ["4"]
    assert "choices" not in said


def test_merged_years_are_filled_in_and_whole_floats_are_whole(tmp_path: Path) -> None:
    rows = [[*HEADER, "year"], [*ROWS[1], 2016], [*ROWS[2]]]
    imported, _ = bring_in(tmp_path, Read("m.xlsx", book(rows, merged_years), []))
    assert [p.groups for p in imported.problems] == [{"year": "2016"}] * 2
    floats = text("question,answer,year\nWhat is 2 + 2?,4.0,2016.0\nWhat is 3 + 5?,8,2017.0\n")
    imported, _ = bring_in(tmp_path, Read("f.csv", floats, []))
    assert [p.groups["year"] for p in imported.problems] == ["2016", "2017"]
    assert READER.fault(imported.problems[0]) == ""


def test_date_in_a_cell_is_a_date_and_no_fraction(tmp_path: Path) -> None:
    rows = [HEADER, ["Three quarters?", datetime.datetime(2026, 3, 4)], ROWS[1]]
    imported, _ = bring_in(tmp_path, Read("d.xlsx", book(rows), []))
    (away,) = imported.excluded
    assert (away.id, away.key) == ("d/2", "2026-03-04")
    assert "a spreadsheet makes one of 3/4" in away.detail


@pytest.mark.parametrize(
    ("value", "shown_as", "question", "key"),
    [
        (datetime.timedelta(hours=30), "[h]:mm", "How long does it take?", "30 h"),
        (datetime.timedelta(hours=30, minutes=15), "[h]:mm", "How many hours?", "30 h 15 min"),
        (datetime.timedelta(minutes=90), "[h]:mm", "How long does it take?", "1 h 30 min"),
        (datetime.time(1, 30), "h:mm", "How long does it take?", "1 h 30 min"),
        (datetime.time(15, 5), "h:mm", "When does the train arrive?", "15:05:00"),
        (datetime.timedelta(hours=30, minutes=15), "[h]:mm:ss", "In what ratio?", None),
        (datetime.time(3, 2), "h:mm", "In what ratio are the sides?", None),
        (datetime.datetime(2026, 3, 4, 5, 6), "d.m.yy h:mm", "In what ratio?", None),
    ],
)
def test_time_in_a_cell_is_a_time_or_duration_and_no_ratio(
    tmp_path: Path, value: Any, shown_as: str, question: str, key: str | None
) -> None:
    def formatted(sheet: Any) -> None:
        sheet["B2"].number_format = shown_as

    rows = [HEADER, [question, value], ROWS[1]]
    imported, _ = bring_in(tmp_path, Read("t.xlsx", book(rows, formatted), []))
    if key is not None:
        assert imported.problems[0].gold_text == key
        return
    (away,) = imported.excluded
    assert away.id == "t/2"
    assert "and the problem asks for none (a spreadsheet makes one of 3" in away.detail


def test_ratio_that_a_spreadsheet_wrote_as_a_time_into_a_csv_is_excluded(tmp_path: Path) -> None:
    table = text("question,answer\nIn what ratio are they?,03:02\nAnd the others?,3:2\n")
    imported, _ = bring_in(tmp_path, Read("r.csv", table, []))
    assert [(p.gold_text, p.kind) for p in imported.problems] == [("3:2", "ratio")]
    assert [away.key for away in imported.excluded] == ["03:02"]
