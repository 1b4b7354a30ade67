"""Several students on one base: who asks, waits and leaves, and what is mounted meanwhile."""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from potstill.analysis.students import FoundStudent, find_ladder
from potstill.deploy.engines import load_model
from potstill.deploy.serve.answering import Ended, Piece
from potstill.deploy.serve.level_answering import LevelAnswering
from potstill.errors import InputError, PotstillError
from potstill.models.decoding import Decoder, Request, Running
from potstill.models.loading import open_decoder


class Endless:
    """A decoder that never comes to an end, or fails at its first step."""

    slots = 8
    wanted = 7

    def __init__(self, *, fails: bool = False) -> None:
        self._running: dict[int, Running] = {}
        self._fails = fails

    @property
    def active(self) -> int:
        return len(self._running)

    def step(self, fresh: Sequence[Request]) -> list[Running]:
        if self._fails:
            raise RuntimeError("no more memory")
        self._running |= {r.key: Running(r, sys.maxsize, random.Random(0)) for r in fresh}
        for run in self._running.values():
            run.advance(65 + len(run.tokens) % 20, ())
        return list(self._running.values())

    def drop(self, keys: Collection[int]) -> None:
        self._running = {key: run for key, run in self._running.items() if key not in keys}


class Base:
    """The real base, with whatever decoders a test puts before its own."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.first: list[Decoder] = []
        self.opened: list[Path] = []
        self.closed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    @contextmanager
    def open_decoder(
        self, model: Any, adapter: Path, tokens: int, batch_size: int
    ) -> Iterator[Decoder]:
        self.opened.append(adapter)
        try:
            if self.first:
                yield self.first.pop(0)
            else:
                with open_decoder(self._model, adapter, tokens, batch_size) as decoder:
                    yield decoder
        finally:
            self.closed += 1


@pytest.fixture(scope="module")
def students(study_directory: Path) -> dict[str, FoundStudent]:
    return {student.level: student for student in find_ladder(study_directory)}


@pytest.fixture
def base(students: dict[str, FoundStudent]) -> Base:
    return Base(load_model(students["R1"]))


async def whole(answers: AsyncIterator[Piece | Ended]) -> str:
    async for event in answers:
        if isinstance(event, Ended):
            return event.text
    return ""


def run(doing: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(doing, 60))


def test_who_asks_for_the_mounted_student_joins_and_another_level_waits(
    base: Base, students: dict[str, FoundStudent]
) -> None:
    told = {level: student.answers()[0] for level, student in students.items()}

    async def asked() -> None:
        base.first = [Endless()]
        with LevelAnswering(base, students, base.open_decoder) as answering:
            first, second = (answering.answer("R1", "Never ending?") for _ in range(2))
            assert await anext(first)
            assert await anext(second)
            assert len(base.opened) == 1
            problem = told["R4"][0].text
            other = asyncio.create_task(whole(answering.answer("R4", problem)))
            await asyncio.sleep(0.3)
            assert not other.done()
            assert await anext(first)
            await first.aclose()
            await asyncio.sleep(0.1)
            assert not other.done()
            await second.aclose()  # no one waits for R1 any more: it is not heard out
            assert await other == told["R4"][1].text
        assert base.opened == [students["R1"].folder, students["R4"].folder]
        assert base.closed == 2

    run(asked())


def test_who_leaves_the_line_blocks_no_one(base: Base, students: dict[str, FoundStudent]) -> None:
    problem, response = students["R4"].answers()[0]

    async def asked() -> None:
        base.first = [Endless()]
        with LevelAnswering(base, students, base.open_decoder) as answering:
            endless = answering.answer("R1", "Never ending?")
            assert await anext(endless)
            waiting = asyncio.create_task(whole(answering.answer("R4", "Why?")))
            await asyncio.sleep(0.1)
            waiting.cancel()
            await endless.aclose()
            assert await whole(answering.answer("R4", problem.text)) == response.text

    run(asked())


def test_a_decoder_that_failed_is_opened_anew(
    base: Base, students: dict[str, FoundStudent]
) -> None:
    problem, response = students["R1"].answers()[0]

    async def asked() -> None:
        base.first = [Endless(fails=True)]
        with LevelAnswering(base, students, base.open_decoder) as answering:
            with pytest.raises(PotstillError, match="no more memory"):
                await whole(answering.answer("R1", "Why?"))
            assert await whole(answering.answer("R1", problem.text)) == response.text

    run(asked())


def test_the_levels_of_the_mixed_student_are_one_mount(base: Base, study_directory: Path) -> None:
    mixed = {student.level: student for student in find_ladder(study_directory, mixed=True)}
    assert list(mixed) == ["mix-R1", "mix-R4"]

    async def asked() -> None:
        with LevelAnswering(base, mixed, base.open_decoder) as answering:
            for level, student in mixed.items():
                problem, response = student.answers()[1]
                said = await whole(answering.answer(level, problem.text))
                assert said == response.text
        assert len(base.opened) == 1

    run(asked())


def test_the_base_is_back_as_it_was(base: Base, students: dict[str, FoundStudent]) -> None:
    async def asked() -> None:
        with LevelAnswering(base, students, base.open_decoder) as answering:
            await whole(answering.answer("R1", "Why?"))
            with pytest.raises(PotstillError, match="is in use"), base.lease("another"):
                pass

    run(asked())
    with base.lease("another"):
        pass
    assert base.closed == 1


def test_a_study_without_students_of_levels_says_so(study_directory: Path, tmp_path: Path) -> None:
    untrained = tmp_path / "out"
    shutil.copytree(study_directory, untrained, ignore=shutil.ignore_patterns("student", "report"))
    with pytest.raises(InputError, match="has no student of any level; run the study to its end"):
        find_ladder(untrained)
    with pytest.raises(InputError, match="no mixed student that was asked for a level"):
        find_ladder(untrained, mixed=True)
