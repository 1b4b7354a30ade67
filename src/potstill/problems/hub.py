"""Any dataset of the Hugging Face hub, or one saved to disk, through ``datasets``.

A raw row of openai/gsm8k: ``{"question": "Natalia sold ...", "answer": "... #### 72"}``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from potstill.errors import InputError
from potstill.problems.raw import RawProblem
from potstill.problems.table import TableColumns, raw_problem
from potstill.store.hub import hub_answers

__all__ = ["Options", "load_split", "read"]


class Options(TableColumns):
    """A dataset's name (or a folder written by ``save_to_disk``), configuration, split, columns."""

    dataset: str = Field(description="The dataset's id, or a folder.")
    config: str | None = Field(default=None, description="Its configuration.")
    split: str = Field(default="test", description="Its split.")
    revision: str | None = Field(default=None, description="A branch, tag or commit.")


def read(options: Options) -> Iterator[RawProblem]:
    """Yield a problem per row of the split. Raises InputError where the dataset cannot be had."""
    rows = load_split(options.dataset, options.config, options.split, options.revision)
    for number, row in enumerate(rows):
        where = f"dataset {options.dataset} split {options.split} row {number}"
        yield raw_problem(row, options, f"{options.dataset}/{options.split}/{number}", "hub", where)


def load_split(dataset: str, config: str | None, split: str, revision: str | None) -> Any:
    """Return the rows of one split. Raises InputError with the way to fetch the dataset by hand."""
    import datasets

    try:
        if (Path(dataset) / "dataset_info.json").is_file():
            return datasets.load_from_disk(dataset)
        if (Path(dataset) / "dataset_dict.json").is_file():
            return datasets.load_from_disk(dataset)[split]
        if not hub_answers():
            # what was fetched before is read; without this, five retries of half a minute
            datasets.config.HF_HUB_OFFLINE = True
        return datasets.load_dataset(dataset, config, split=split, revision=revision)
    except Exception as exc:  # datasets lets httpx, fsspec, Arrow and script errors through
        first = (str(exc).strip().splitlines() or [type(exc).__name__])[0].rstrip(".")
        raise InputError(
            f"the dataset {dataset!r} (split {split!r}) cannot be loaded: {first}. Where the hub "
            f"is not reachable, fetch it elsewhere with `hf download {dataset} --repo-type dataset "
            f"--local-dir DIR`, and give its file as a source of kind table."
        ) from exc
