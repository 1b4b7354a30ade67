"""A study directory from a stranger: manifests, tables, students, reports, rulings, ledgers."""

from __future__ import annotations

from support.directory_targets import TARGETS
from support.fuzzing import Target, fuzzed


@fuzzed(TARGETS)
def test_a_strangers_directory_is_read_or_refused_in_a_sentence(target: Target, cases: int) -> None:
    target.hold(cases)
