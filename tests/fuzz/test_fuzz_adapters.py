"""Adapters and model folders from a stranger: configurations, safetensors headers, indexes."""

from __future__ import annotations

from support.adapter_targets import TARGETS
from support.fuzzing import Target, fuzzed


@fuzzed(TARGETS)
def test_an_adapter_is_mounted_or_refused_in_a_sentence(target: Target, cases: int) -> None:
    target.hold(cases)
