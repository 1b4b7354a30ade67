"""The stage between teaching and verifying: a majority of the answers where there is no key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from potstill.grading.plugins import kind_settings
from potstill.lessons.majority import majority_ids, with_majorities
from potstill.records import Problem, content_hash
from potstill.store.cells import Cell, Filling

if TYPE_CHECKING:
    from potstill.pipeline.context import Context
    from potstill.pipeline.outputs import Made
    from potstill.pipeline.services import Graders

__all__ = ["settle_keys"]

_VERSION = 1


def settle_keys(
    context: Context, graders: Graders, made: Made, asked: Sequence[Problem]
) -> Sequence[Problem]:
    """Return the problems ``asked`` of the teacher that can be taught: where there is no key, with
    the majority of its answers. One without a majority is excluded from all that is ``made``.
    """
    study = context.study
    if study.keys is None or not (ids := majority_ids(asked)):
        return asked
    from potstill.grading.majority import Majority, MajorityRule, majorities, refuse_one_vote

    taught, draws, share = made.taught, study.teacher.samples, study.keys.majority
    without = [p for p in asked if p.id in ids]
    responses = taught.of_problems(ids.__contains__).responses
    hashes = {"problems": content_hash(without), "responses": content_hash(responses)}
    cell = Cell.of("keys", **hashes, rule=[draws, share, study.kinds], version=_VERSION)
    name = "keys by majority"

    def make(out: Filling) -> None:
        refuse_one_vote(taught.responses)
        rule = MajorityRule(draws, share, kind_settings(study.kinds))
        found = majorities(without, responses, rule, graders.open())
        for majority in context.counted(name, len(without), "problems", found):
            out.add("majorities", majority)

    context.cell(cell, name, {"majorities": Majority}, make)
    found = {x.problem_id: x for x in context.store.rows(cell, "majorities", Majority)}
    context.store.check_same(cell, "majorities", found, (p.id for p in without))
    made.problems, away = with_majorities(made.problems, found)
    gone = {x.id for x in away}
    made.excluded = [*made.excluded, *away]
    made.splits = {i: split for i, split in made.splits.items() if i not in gone}
    made.taught = taught.of_problems(lambda own: own not in gone)
    return with_majorities(asked, found)[0]
