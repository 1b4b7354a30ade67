"""Each source by itself: what it reads, and what it says of a file that is damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from potstill.errors import InputError
from potstill.problems import SourceConfig, competition, guess_source, load_problems, table
from potstill.store.rows import read_columns, read_rows

YEAR = {"team": {"question_1": {"question": "What is 1 + 1?", "answer": "2"}}}


def no_kind(key: str, text: str) -> str:
    return ""


def write_year(folder: Path, name: str = "2017.json", value: object = YEAR) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def read_competition(path: Path, **options: object) -> list[str]:
    return [
        raw.id
        for raw in competition.read(competition.Options.model_validate({"path": path, **options}))
    ]


def test_competition_reads_a_file_a_folder_and_a_repository(tmp_path: Path) -> None:
    path = write_year(tmp_path / "repo" / "data" / "json")
    write_year(tmp_path / "repo" / "data" / "json", "2018.json")
    write_year(tmp_path / "repo" / "out", "2017.json", {"team": {"question_1": {"verdict": "1"}}})
    write_year(tmp_path / "repo" / ".git", "2016.json")
    ids = ["2017/team/question_1", "2018/team/question_1"]
    assert read_competition(path) == ids[:1]
    assert read_competition(path.parent) == ids
    assert read_competition(tmp_path / "repo") == ids
    assert read_competition(tmp_path / "repo", years=(2018,)) == ids[1:]
    (raw,) = competition.read(competition.Options(path=path))
    assert raw.groups == {"year": "2017", "section": "team"}


def test_competition_refuses_a_year_that_is_not_there_and_two_equal_folders(
    tmp_path: Path,
) -> None:
    write_year(tmp_path / "a")
    with pytest.raises(InputError, match=r"has no 2019\.json.*2017"):
        read_competition(tmp_path, years=(2019,))
    write_year(tmp_path / "b")
    with pytest.raises(InputError, match="give one of them"):
        read_competition(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"team": {"question_1": {"question": "What', "cut off"),
        ('{"team": {"question_1" "x"}}', "line 1: not valid JSON"),
        ("[1, 2]", "list found where an object stands"),
        ('{"team": ["What is 1 + 1?"]}', "team: list found"),
        ('{"team": {"question_1": "What is 1 + 1?"}}', "team: question_1: str found"),
        ('{"team": {"question_1": {"text": "What?", "answer": "2"}}}', "no field 'question'"),
        ('{"team": {"question_1": {"question": ["x"], "answer": "2"}}}', "question is not text"),
        ("{}", "holds no section"),
        (
            '{"team": {"q": {"question": "a"}, "q": {"question": "b"}}}',
            "line 1: the name 'q' stands twice",
        ),
        ("[" * 100_000, "nested too deep|cut off"),
    ],
)
def test_competition_names_the_file_that_is_damaged(
    tmp_path: Path, content: str, said: str
) -> None:
    path = write_year(tmp_path, value=content)
    with pytest.raises(InputError, match=said) as caught:
        read_competition(path)
    assert str(path) in str(caught.value)


def test_competition_says_where_nothing_was_found(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_competition(tmp_path / "gone")
    with pytest.raises(InputError, match=r"holds no YEAR\.json"):
        read_competition(tmp_path)


def test_table_reads_csv_jsonl_json_and_parquet_alike(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"q": "What is 1, or 2?\nSay.", "a": "2", "topic": "é"},
        {"q": "b", "a": "3", "topic": ""},
    ]
    (tmp_path / "t.csv").write_text(
        '\ufeffq,a,topic\r\n"What is 1, or 2?\nSay.",2,é\r\nb,3,\r\n', encoding="utf-8"
    )
    (tmp_path / "t.jsonl").write_text("\n\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    (tmp_path / "t.json").write_text(json.dumps(rows), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    found = []
    for suffix in ("csv", "jsonl", "json", "parquet"):
        path = tmp_path / f"t.{suffix}"
        options = table.Options(path=path, text="q", key="a", groups={"topic": "topic"})
        found.append([(r.text, r.key, r.groups) for r in table.read(options)])
        assert read_columns(path) == ("q", "a", "topic")
    assert found[0] == [("What is 1, or 2?\nSay.", "2", {"topic": "é"}), ("b", "3", {"topic": ""})]
    assert all(other == found[0] for other in found)


def test_table_names_the_missing_column_the_nearest_and_those_that_are_there(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Problem,answer\nx,1\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        list(table.read(table.Options(path=path)))
    said = str(caught.value)
    assert str(path) in said
    assert "no column 'problem'; did you mean 'Problem'?" in said
    assert "There are: Problem, answer" in said


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.jsonl", b'{"problem": "a", "answer": "1"}\n{"problem": "b", "ans', "line 2: .*cut off"),
        (
            "t.jsonl",
            b'{"problem": "a", "answer": "1"}\n[1]\n',
            "line 2: a list instead of an object .* name a file that is one list .json",
        ),
        ("t.json", b'{"problem": "a"}', "not a list of objects"),
        ("t.csv", b'problem,answer\n"a,1\n', "not valid CSV"),
        ("t.csv", b"problem,answer\na\n", "line 2: 1 cell under 2 column names"),
        ("t.csv", b"problem,problem\na,b\n", "names the column 'problem' twice"),
        ("t.csv", b"", "is empty"),
        ("t.csv", b"problem,answer\n", "holds no rows"),
        ("t.csv", b"problem,answer\n\x81\x8d,1\n", "not UTF-8"),
        ("t.parquet", b"PAR1 nothing", "is not a Parquet file, or not a whole one"),
        ("t.txt", b"x", "is not a table"),
    ],
)
def test_table_names_the_file_and_the_line_of_what_is_damaged(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        list(table.read(table.Options(path=path)))
    assert str(path) in str(caught.value)


def test_csv_cells_may_hold_a_whole_trace(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"problem,answer\n{'x' * 400_000},1\n", encoding="utf-8")
    ((_, row),) = read_rows(path)
    assert len(row["problem"]) == 400_000


def test_hub_reads_a_dataset_on_disk_and_says_how_to_fetch_one(tmp_path: Path) -> None:
    import datasets

    rows = datasets.Dataset.from_list([{"question": "What is 1 + 1?", "answer": 2}])
    rows.save_to_disk(str(tmp_path / "set"))
    options = {"dataset": str(tmp_path / "set"), "text": "question"}
    (problem,) = load_problems([SourceConfig("hub", options)], infer=no_kind).problems
    assert problem.gold_text == "2"
    missing = SourceConfig("hub", {"dataset": str(tmp_path / "gone")})
    with pytest.raises(InputError, match="hf download"):
        load_problems([missing], infer=no_kind)


def test_math500_says_how_to_download_it_where_the_hub_is_not_reachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import datasets

    def unreachable(*args: object, **kwargs: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(InputError, match=r"no route to host.*download test\.jsonl"):
        load_problems([SourceConfig("math500")], infer=no_kind)


def test_math500_names_the_column_that_its_file_lacks(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("problem,answer,subject,level\na,1,b,2\n", encoding="utf-8")
    with pytest.raises(InputError, match="no column 'unique_id'"):
        load_problems([SourceConfig("math500", {"path": path})], infer=no_kind)


def test_pocket_problems_come_in_three_splits_with_ids_of_their_own() -> None:
    source = SourceConfig("pocket", {"train": 20, "valid": 5, "heldout": 10})
    problems = load_problems([source], infer=no_kind).problems
    assert [p.groups["split"] for p in problems] == ["train"] * 20 + ["valid"] * 5 + [
        "heldout"
    ] * 10
    assert len({p.id for p in problems}) == 35
    assert all(p.groups["family"] for p in problems)


def test_guess_knows_the_competition_math500_and_any_table(tmp_path: Path) -> None:
    year = write_year(tmp_path / "repo" / "years")
    assert guess_source(tmp_path / "repo").source == "competition"
    assert guess_source(year).source == "competition"
    csv = tmp_path / "m.csv"
    csv.write_text(
        "problem,solution,answer,subject,level,unique_id\na,b,c,d,e,f\n", encoding="utf-8"
    )
    assert guess_source(csv).source == "math500"
    other = tmp_path / "o.jsonl"
    rows = [{"id": i, "Question": f"q{i}", "gold": "1", "topic": "x"} for i in range(3)]
    other.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    guess = guess_source(other)
    assert (guess.source, guess.options["text"], guess.options["key"]) == (
        "table",
        "Question",
        "gold",
    )
    assert "text from column 'Question', key from 'gold', id from 'id'" in guess.why
    assert len(load_problems([guess], infer=no_kind).problems) == 3


def test_guess_leaves_an_id_column_that_repeats_and_refuses_what_it_cannot_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "o.csv"
    path.write_text("question_id,question,answer\n1,a,2\n1,b,3\n", encoding="utf-8")
    assert "id" not in guess_source(path).options
    path.write_text("name,colour\na,b\n", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"no column that looks like the problem text.*name, colour"
    ):
        guess_source(path)
    with pytest.raises(InputError, match="does not exist"):
        guess_source(tmp_path / "gone.csv")
    with pytest.raises(InputError, match="no table of problems"):
        guess_source(Path(__file__))


def test_real_competition_sets_twenty_unseen_and_fourteen_doubled_problems_aside(
    data: Path,
) -> None:
    imported = load_problems([guess_source(data / "competition")], infer=no_kind)
    reasons = [item.reason.value for item in imported.excluded]
    assert reasons.count("text not visible") == 20
    assert reasons.count("duplicate") == 14
    assert len(reasons) == 34
    assert len(imported.problems) == 671 - 34


def test_real_math500_comes_in_whole(data: Path) -> None:
    imported = load_problems([guess_source(data / "math500.csv")], infer=no_kind)
    assert len(imported.problems) == 500
    assert imported.problems[0].groups.keys() == {"subject", "level"}
