"""Tables larger than memory: read in batches, written as they come, and the same as lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.errors import StoreError
from potstill.pipeline.asking import in_order
from potstill.records import Finish, NotAsked, Problem, Response, TextGold, content_hash
from potstill.store import cells as stores
from potstill.store.cells import Cell, Store
from potstill.store.tables import BATCH_ROWS, Rows, beside, in_batches, part

CELL = Cell.of("test", x=1)
COUNT = 2 * BATCH_ROWS + 100


def problem(i: int) -> Problem:
    return Problem(f"p{i}", f"{i} + 1?", TextGold(str(i + 1)), "integer", "t", {"odd": str(i % 2)})


PROBLEMS = [problem(i) for i in range(COUNT)]


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rows[Problem]:
    monkeypatch.setattr(stores, "HELD_BYTES", 0)
    store = Store(tmp_path / "study")
    store.write(CELL, {"problems": (Problem, PROBLEMS)})
    found = store.rows(CELL, "problems", Problem)
    assert isinstance(found, Rows)
    return found


def test_a_large_table_reads_as_the_list_it_was(rows: Rows[Problem]) -> None:
    assert len(rows) == COUNT
    assert list(rows) == PROBLEMS
    places = [0, COUNT - 1, -1, BATCH_ROWS, BATCH_ROWS - 1, 7]
    assert [rows[i] for i in places] == [PROBLEMS[i] for i in places]
    assert list(rows[5:-3]) == PROBLEMS[5:-3]
    assert content_hash(rows) == content_hash(PROBLEMS)
    assert list(rows.column("id", "source"))[-1] == (f"p{COUNT - 1}", "t")
    with pytest.raises(IndexError):
        rows[COUNT]


def test_a_part_is_in_the_order_asked_for_and_may_have_parts(rows: Rows[Problem]) -> None:
    odd = part(rows, range(1, COUNT, 2))
    assert list(odd) == PROBLEMS[1::2]
    assert odd[3] == PROBLEMS[7]
    assert list(part(odd, [0, 5])) == [PROBLEMS[1], PROBLEMS[11]]
    mixed = [COUNT - 1, 3, 2_500, 3]
    assert list(part(rows, mixed)) == [PROBLEMS[i] for i in mixed]
    assert content_hash(part(rows, mixed)) == content_hash(part(PROBLEMS, mixed))
    assert list(part(rows, [])) == []


def test_a_pass_holds_one_batch(rows: Rows[Problem]) -> None:
    assert next(iter(rows)) == PROBLEMS[0]
    file = rows._open()  # the batches are row groups, so that one is read without the others
    import pyarrow.parquet as pq

    assert pq.ParquetFile(file).num_row_groups == 3


def test_what_was_damaged_after_it_was_opened_is_not_used(
    rows: Rows[Problem], tmp_path: Path
) -> None:
    (path,) = (tmp_path / "study").rglob("problems.parquet")
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match="does not match its manifest"):
        list(rows)


def test_a_cell_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "study")

    def break_off() -> None:
        with store.filling(CELL, {"problems": Problem}) as filling:
            for item in PROBLEMS:
                filling.add("problems", item)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert not store.exists(CELL)
    assert list(store.folder(CELL).iterdir()) == []
    left = store.folder(CELL) / ".problems.parquet.killed"
    left.write_bytes(b"what a killed run was writing")
    store.write(CELL, {"problems": (Problem, PROBLEMS)})
    assert not left.exists()


def answer(place: int, sample: int = 0) -> Response:
    return Response("s", f"p{place}", "c", sample, 0, "", "t", Finish.STOP, 1, 1, "k")


@given(st.permutations([(i, sample) for i in range(6) for sample in range(2)]))
def test_results_come_in_the_order_of_the_problems(arrival: list[tuple[int, int]]) -> None:
    results = (answer(*x) if x[0] != 4 else NotAsked("s", "p4", "c", "") for x in arrival)
    found = list(in_order(results, PROBLEMS[:6], 2))
    assert [x.problem_id for x in found] == [f"p{i}" for i in range(6) for _ in range(2)]
    assert all(getattr(x, "sample", i % 2) == i % 2 for i, x in enumerate(found))


def test_a_result_leaves_as_soon_as_its_turn_has_come() -> None:
    drawn = []

    def results() -> Iterator[Response]:
        for place in (0, 2, 1):
            drawn.append(place)
            yield answer(place)

    coming = in_order(results(), PROBLEMS[:3])
    next(coming)
    assert drawn == [0]


def test_items_stand_beside_their_problems() -> None:
    answers = [answer(1), answer(1, 1), answer(3)]
    assert [(p.id, r.sample) for p, r in beside(PROBLEMS, answers)] == [
        ("p1", 0),
        ("p1", 1),
        ("p3", 0),
    ]
    with pytest.raises(StoreError, match="p1 belongs to no problem here, or is out of order"):
        list(beside(PROBLEMS, [answer(3), answer(1)]))


def test_batches_are_full_but_the_last() -> None:
    assert [len(x) for x in in_batches(PROBLEMS[:7], 3)] == [3, 3, 1]


def test_ids_out_of_order_or_unknown_are_damage(tmp_path: Path) -> None:
    store = Store(tmp_path / "study")
    known = ["a", "b", "c"]
    for sound in ([], ["a", "a", "c"], known):
        store.check_in_order(CELL, "rows", sound, iter(known))
        store.check_ids(CELL, "rows", sound, known)
    for wrong in (["b", "a"], ["a", "b", "a"], ["a", "d"]):
        with pytest.raises(StoreError, match=r"rows\.parquet does not match its manifest"):
            store.check_in_order(CELL, "rows", wrong, iter(known))
    with pytest.raises(StoreError, match="does not match"):
        store.check_ids(CELL, "rows", ["a", "d"], known)
    store.check_same(CELL, "rows", ["a"], iter(["a"]))
    for other in (["b"], ["a", "a"], []):
        with pytest.raises(StoreError, match="does not match"):
            store.check_same(CELL, "rows", ["a"], other)
