"""Files that a person points Potstill at: studies, problems, levels, recorded replies, answers."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import yaml

from potstill.errors import PotstillError
from potstill.study.templates import DEMO_STUDY
from support.file_targets import TARGETS, take_study, yaml_bytes
from support.fuzzing import Target, fuzzed
from support.mutations import HOSTILE_VALUES, places_in


@fuzzed(TARGETS)
def test_a_file_is_read_or_refused_in_a_sentence(target: Target, cases: int) -> None:
    target.hold(cases)


@pytest.mark.parametrize("value", HOSTILE_VALUES, ids=lambda v: repr(v)[:20])
def test_no_value_at_any_key_of_a_study_crashes_it(value: object, tmp_path: Path) -> None:
    """Every key of the demo study, in turn, with every hostile value."""
    count = len(places_in(yaml.safe_load(DEMO_STUDY.read_text())))
    for number in range(count):
        document = yaml.safe_load(DEMO_STUDY.read_text())
        holder, key = places_in(document)[number]
        holder[key] = value
        with contextlib.suppress(PotstillError):
            take_study(yaml_bytes(document), tmp_path)
