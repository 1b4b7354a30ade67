"""What every problem goes through on its way in: nothing is dropped, every reason is said."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from potstill.errors import InputError
from potstill.plugins import SOURCES, load_plugin, plugin_names
from potstill.problems import (
    SourceConfig,
    describe,
    load_problems,
    normalise,
)
from potstill.records import ExclusionReason, NumberGold, TextGold


def no_kind(key: str, text: str) -> str:
    return ""


def table(tmp_path: Path, rows: list[dict[str, object]], **options: object) -> SourceConfig:
    path = tmp_path / "problems.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return SourceConfig("table", {"path": path, **options})


def test_sound_problem_is_kept_with_its_gold_kind_and_groups(tmp_path: Path) -> None:
    source = table(
        tmp_path,
        [{"problem": "What is 2 + 2?", "answer": 4, "topic": "sums"}],
        groups={"topic": "topic"},
    )
    imported = load_problems([source], infer=lambda key, text: f"{key} of {text[:4]}")
    (problem,) = imported.problems
    assert problem.id == "problems/1"
    assert problem.gold == TextGold("4")
    assert problem.kind == "4 of What"
    assert problem.groups == {"topic": "sums"}
    assert problem.source == "table"
    assert imported.excluded == ()


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("", "4", ExclusionReason.NO_TEXT),
        ("   \n", "4", ExclusionReason.NO_TEXT),
        ("Question 12", "4", ExclusionReason.NO_TEXT),
        ("Question 12 (content not visible in provided pages)", "4", ExclusionReason.NOT_VISIBLE),
        ("[text not available]", "4", ExclusionReason.NOT_VISIBLE),
        ("Problem 3: image missing", "4", ExclusionReason.NOT_VISIBLE),
        ("What is 2 + 2?", "", ExclusionReason.NO_KEY),
        ("What is 2 + 2?", "  ", ExclusionReason.NO_KEY),
    ],
)
def test_unusable_problem_is_excluded_with_its_reason(
    tmp_path: Path, text: str, key: str, reason: ExclusionReason
) -> None:
    imported = load_problems([table(tmp_path, [{"problem": text, "answer": key}])], infer=no_kind)
    assert imported.problems == ()
    assert [item.reason for item in imported.excluded] == [reason]


@pytest.mark.parametrize(
    "text",
    [
        "How many faces of the cube are not visible in the given pages of the booklet?",
        "The missing number in 2, 4, _, 8 is what?",
        "Question 7: find x if x + 1 = 2.",
        "3(x - 2) = 9",
        "17",
    ],
)
def test_problem_that_only_looks_unusable_is_kept(tmp_path: Path, text: str) -> None:
    rows = [{"problem": text, "answer": "1"}]
    imported = load_problems([table(tmp_path, rows)], infer=no_kind)
    if text == "17":
        assert imported.excluded[0].reason is ExclusionReason.NO_TEXT
    else:
        assert len(imported.problems) == 1


def test_second_of_two_equal_texts_is_excluded_and_says_which(tmp_path: Path) -> None:
    rows = [
        {"problem": "Find  x² + 1.", "answer": "5", "id": "a"},
        {"problem": "find $x^2+1$", "answer": "5", "id": "b"},
        {"problem": "Find x^2 + 1", "answer": "6", "id": "c"},
    ]
    imported = load_problems([table(tmp_path, rows, id="id")], infer=no_kind)
    assert [p.id for p in imported.problems] == ["a"]
    assert [s.reason for s in imported.excluded] == [ExclusionReason.DUPLICATE] * 2
    assert imported.excluded[0].detail == "same text as a"
    assert "the keys differ: '5' and '6'" in imported.excluded[1].detail


def test_one_id_with_two_texts_is_refused_and_both_are_shown(tmp_path: Path) -> None:
    rows = [
        {"problem": "What is 1 + 1?", "answer": "2", "id": "a"},
        {"problem": "What is 2 + 2?", "answer": "4", "id": "a"},
    ]
    with pytest.raises(InputError, match=r"'a' names two problems: .*1\+1.* and .*2\+2"):
        load_problems([table(tmp_path, rows, id="id")], infer=no_kind)


def test_duplicates_are_found_across_sources_under_their_own_names(tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("problem,answer\nWhat is 2 + 2?,4\n", encoding="utf-8")
    first = table(tmp_path, [{"problem": "What is 2+2?", "answer": "4"}])
    second = SourceConfig("table", {"path": other}, name="later")
    imported = load_problems([first, second], infer=no_kind)
    assert [p.source for p in imported.problems] == ["table"]
    assert [(s.source, s.id) for s in imported.excluded] == [("later", "other/2")]


def test_describe_gives_a_row_for_every_problem(tmp_path: Path) -> None:
    rows = [{"problem": "What is 2 + 2?", "answer": "4"}, {"problem": "", "answer": "5"}]
    imported = load_problems([table(tmp_path, rows)], infer=lambda k, t: "integer")
    kept, away = describe(imported)
    assert (kept.id, kept.kind, kept.key, kept.reason) == ("problems/1", "integer", "4", "")
    assert (away.id, away.key, away.reason) == ("problems/2", "5", "no text")


def test_number_gold_carries_its_tolerance(tmp_path: Path) -> None:
    rows = [{"problem": "How tall?", "answer": "1,234.5"}]
    source = table(tmp_path, rows, key_is="number", tolerance=0.5)
    (problem,) = load_problems([source], infer=no_kind).problems
    assert problem.gold == NumberGold(1234.5, 0.5)
    bad = table(tmp_path, [{"problem": "How tall?", "answer": "tall"}], key_is="number")
    with pytest.raises(InputError, match="'tall' is not a number"):
        load_problems([bad], infer=no_kind)


def test_unknown_source_and_unknown_option_name_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'competition'"):
        load_problems([SourceConfig("competion")], infer=no_kind)
    unknown = SourceConfig("table", {"path": tmp_path, "pathh": tmp_path})
    with pytest.raises(InputError, match=r"unknown key 'pathh'; did you mean 'path'"):
        load_problems([unknown], infer=no_kind)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "the key 'path' is missing"),
        ({"path": "t.csv", "pathh": 1}, "unknown key 'pathh'; did you mean 'path'?"),
        ({"path": "t.csv", "delimiter": ";;"}, "'delimiter': a delimiter is one character, or tab"),
        ({"path": "t.csv", "text": 3}, "'text': should be text (put it in quotes) (found 3)"),
        (
            {"path": "t.csv", "key_is": "txt"},
            "'key_is': should be 'text', 'number', ",
        ),
        ({"path": "t.csv", "tolerance": -1}, "'tolerance': should be 0 or more (found -1)"),
        ({"path": "t.csv", "groups": "year"}, "'groups': should be a section, its keys beneath it"),
    ],
)
def test_options_of_a_source_are_refused_in_plain_words(
    options: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError) as refused:
        load_problems([SourceConfig("table", options)], infer=no_kind)
    assert said in str(refused.value)
    assert str(refused.value).startswith("problem source 'table': ")
    assert not re.search(r"(?i)value error|valid|input|extra", str(refused.value))


def test_bytes_of_a_parquet_column_are_text_or_refused_by_row(tmp_path: Path) -> None:
    path = tmp_path / "b.parquet"
    words = pa.array(["Wie groß?".encode(), b"What is 2 + 2?"], pa.binary())
    image = pa.array([b"\xff\xd8", b"\xff\xd8"], pa.binary())
    either = pa.array([[b"3/4", b"0.75"], [b"4"]], pa.list_(pa.binary()))
    pq.write_table(pa.table({"problem": words, "answer": either, "image": image}), path)
    found = load_problems([SourceConfig("table", {"path": path})], infer=no_kind).problems
    assert [(p.text, p.gold_text) for p in found] == [
        ("Wie groß?", '["3/4", "0.75"]'),
        ("What is 2 + 2?", "4"),
    ]
    wrong = SourceConfig("table", {"path": path, "text": "image"})
    with pytest.raises(InputError, match=r"b\.parquet row 1: the column 'image' holds bytes that"):
        load_problems([wrong], infer=no_kind)


def test_every_built_in_source_has_options_and_read() -> None:
    assert set(plugin_names(SOURCES)) >= {"competition", "hub", "math500", "pocket", "table"}
    for name in ("competition", "hub", "math500", "pocket", "table"):
        module = load_plugin(SOURCES, name)
        config = module.Options.model_config
        assert config.get("extra") == "forbid"
        assert config.get("frozen") is True
        assert callable(module.read)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Find x².", "find $x^2$"),
        ("A  – B", "a - b"),
        (r"\(x \times 2\)", "x × 2"),
        (r"\left( 3, 4 \right)", "(3,4)"),
        ("x^{10}", "x^10"),
        ("“Hi” she said.", '"hi" she said'),
    ],
)
def test_normalise_makes_one_of_two_spellings(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"), [("x + 5", "x - 5"), ("2x²", "2x2"), ("12", "1 2"), ("√2", "2")]
)
def test_normalise_keeps_two_problems_apart(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)
