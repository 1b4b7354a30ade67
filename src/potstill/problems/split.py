"""Which split a problem is in: training, validation or held out, near-duplicates together.

A problem's split hangs on its own id, so that adding a problem reshuffles no other.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Annotated, Literal

from pydantic import Field, model_validator

from potstill.errors import StudyError
from potstill.plugins import nearest
from potstill.problems.overlap.pairs import Pair
from potstill.records import Excluded, ExclusionReason, NoGold, Problem, Split
from potstill.store.settings import Settings
from potstill.text import several

__all__ = [
    "SAYS_THE_SAME",
    "SplitOptions",
    "draw_some",
    "draws_validation",
    "drop_keyless",
    "given_split",
    "split",
]


class SplitOptions(Settings):
    """How problems are divided.

    ``by: share`` holds out ``heldout_share`` of them; ``by: group`` every problem whose group
    ``group`` has one of the values ``heldout`` (whole years, say); ``by: given`` takes train, valid
    or heldout from the group ``group``. ``valid_share`` is of what is not held out; by: given draws
    it where no problem is marked valid.
    """

    by: Literal["share", "group", "given"] = "share"
    group: str = ""
    heldout: tuple[str, ...] = ()
    heldout_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    valid_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    seed: int = Field(default=0, description="Draws the shares.")

    @model_validator(mode="before")
    @classmethod
    def _years_are_text(cls, value: object) -> object:
        if isinstance(value, dict) and isinstance(value.get("heldout"), list | tuple):
            return value | {"heldout": tuple(str(v) for v in value["heldout"])}
        return value

    @model_validator(mode="after")
    def _agree(self) -> SplitOptions:
        if self.by == "group" and not (self.group and self.heldout):
            raise ValueError("by: group needs group: (year, ...) and heldout: (its values)")
        if self.by == "given" and not self.group:
            object.__setattr__(self, "group", "split")
        return self


def split(
    problems: Sequence[Problem],
    options: SplitOptions,
    pairs: Iterable[Pair] = (),
    use: Mapping[str, str] | None = None,
) -> Mapping[str, Split]:
    """Return the split of every problem by its id.

    ``problems`` are gone through, never indexed or copied.

    ``pairs`` are near-duplicates: exact and near ones end in one split, the held-out one where any
    of them is held out; those that share only their masked text may part. ``use`` maps a source to
    "heldout" where all of it is, and to "kept" where all of it is kept to see what was lost. Raises
    StudyError for a group or value that is not there, where nothing is left to train on or to hold
    out, and where a problem that is kept says the same as one that is not. A problem that has no
    key is drawn for training alone; see :func:`drop_keyless` for one that ends elsewhere.
    """
    used = use or {}
    _refuse_unknown_values(problems, options, used)
    splits: dict[str, Split] = {}
    keyless: set[str] = set()
    for p in problems:
        splits[p.id] = _own_split(p, options, used.get(p.source, ""))
        if isinstance(p.gold, NoGold):
            keyless.add(p.id)
    if options.by == "given" and not _has(splits, Split.VALID, keyless):
        splits = {
            i: split if i in keyless else _or_valid(i, split, options)
            for i, split in splits.items()
        }
    together_with = _components(splits, pairs)
    for members in together_with:
        found = {splits[member] for member in members}
        _refuse_kept_among_others(members, splits)
        together = next(s for s in _STRONGEST if s in found)
        for member in members:
            splits[member] = together
    _keep_some_validation(splits, options, together_with, keyless)
    _refuse_empty_splits(splits, options, keyless)
    return splits


def drop_keyless(
    problems: Sequence[Problem], splits: Mapping[str, Split]
) -> tuple[Sequence[Problem], Mapping[str, Split], list[Excluded]]:
    """Return the problems and their splits without those that have no key where one is needed, and
    these as excluded: what checkpoints are chosen by or students scored on has a key.
    """
    away = {
        p.id: Excluded.without_key(p, ExclusionReason.NO_KEY, _NEEDED[split])
        for p, split in zip(problems, splits.values(), strict=True)
        if isinstance(p.gold, NoGold) and split is not Split.TRAIN
    }
    if not away:
        return problems, splits, []
    kept = [p for p in problems if p.id not in away]
    return kept, {p.id: splits[p.id] for p in kept}, list(away.values())


def _refuse_kept_among_others(members: Sequence[str], splits: Mapping[str, Split]) -> None:
    kept = [x for x in members if splits[x] is Split.KEPT]
    others = [x for x in members if splits[x] is not Split.KEPT]
    if kept and others:
        raise StudyError(SAYS_THE_SAME.format(kept=kept[0], own=others[0]))


def _own_split(problem: Problem, options: SplitOptions, use: str) -> Split:
    if use == Split.KEPT:
        return Split.KEPT
    if use == "heldout":
        return Split.HELDOUT
    if options.by == "given":
        return _given(problem, options.group)
    keyed = not isinstance(problem.gold, NoGold)
    if options.by == "group":
        if problem.groups.get(options.group) in options.heldout:
            return Split.HELDOUT
    elif keyed and _draw(problem.id, options.seed, "heldout") < options.heldout_share:
        return Split.HELDOUT
    return _or_valid(problem.id, Split.TRAIN, options) if keyed else Split.TRAIN


def _or_valid(problem_id: str, split: Split, options: SplitOptions) -> Split:
    """Return validation for a share of what is to be trained on."""
    drawn = _draw(problem_id, options.seed, "valid") < options.valid_share
    return Split.VALID if drawn and split is Split.TRAIN else split


def draw_some(problems: Sequence[Problem], count: int, seed: int, what: str) -> list[int]:
    """Return the numbers, in order, of ``count`` problems, all where there are no more.

    Which ones hangs on their ids, the seed and ``what`` they are drawn for: with a higher count the
    same ones are among them.
    """
    drawn = sorted(range(len(problems)), key=lambda i: _draw(problems[i].id, seed, what))
    return sorted(drawn[:count])


def draws_validation(problems: Iterable[Problem], options: SplitOptions) -> bool:
    """Return whether by: given finds no problem marked valid, and so draws some."""
    return options.by == "given" and not any(
        _GIVEN.get(p.groups.get(options.group, "").casefold()) is Split.VALID
        for p in problems
        if not isinstance(p.gold, NoGold)
    )


SAYS_THE_SAME = (
    "evaluation.keep: {kept} says the same as {own} of the study's own problems; what is kept must "
    "have nothing to do with the lessons. Take it out of one of them."
)
# Of problems that say the same, the first of these that one of them has is all of theirs.
_STRONGEST = (Split.KEPT, Split.HELDOUT, Split.VALID, Split.TRAIN)
_NEEDED = {
    Split.HELDOUT: "it is held out, or says the same as one that is, and is scored by its key",
    Split.VALID: "it is for validation, or says the same as one that is, which needs a key",
    Split.KEPT: "it is of evaluation.keep, and is scored by its key",
}
_GIVEN = {
    **dict.fromkeys(("train", "training"), Split.TRAIN),
    **dict.fromkeys(("valid", "validation", "val", "dev", "development"), Split.VALID),
    **dict.fromkeys(("heldout", "test", "testing", "eval", "evaluation"), Split.HELDOUT),
}


def given_split(value: str) -> Split | None:
    """Return the split that a word of a table names, None where it names none."""
    return _GIVEN.get(re.sub(r"[\s_-]+", "", value.casefold()))


def _given(problem: Problem, group: str) -> Split:
    value = problem.groups.get(group, "")
    split = given_split(value)
    if split is None:
        raise StudyError(
            f"split: {problem.id} has {value!r} in the group {group!r}, where by: given needs "
            f"train, valid or heldout{nearest(value, ('train', 'valid', 'heldout'))}."
        )
    return split


def _draw(problem_id: str, seed: int, what: str) -> float:
    """Return a number in [0, 1) that hangs on the id and the seed alone."""
    digest = hashlib.sha256(f"{what}|{seed}|{problem_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _components(ids: Mapping[str, Split], pairs: Iterable[Pair]) -> list[list[str]]:
    """Return the groups of two and more problems that exact and near pairs hold together."""
    root: dict[str, str] = {}

    def find(item: str) -> str:
        while root.get(item, item) != item:
            root[item] = root.get(root[item], root[item])
            item = root[item]
        return item

    for pair in pairs:
        if pair.leaks and pair.a_id in ids and pair.b_id in ids:
            low, high = sorted((find(pair.a_id), find(pair.b_id)))
            root[low] = root[high] = low
    groups: dict[str, list[str]] = defaultdict(list)
    for item in root:
        groups[find(item)].append(item)
    return [sorted(members) for members in groups.values()]


def _refuse_unknown_values(
    problems: Sequence[Problem], options: SplitOptions, use: Mapping[str, str]
) -> None:
    if options.by == "share":
        return
    names: dict[str, None] = {}  # of groups, in their order
    values: set[str] = set()  # of the group that divides
    divided = False
    for problem in problems:
        if use.get(problem.source) in ("heldout", Split.KEPT):
            continue
        divided = True
        names.update(dict.fromkeys(problem.groups))
        if options.group in problem.groups:
            values.add(problem.groups[options.group])
    if divided and options.group not in names:
        raise StudyError(
            f"split: no problem has the group {options.group!r}{nearest(options.group, names)}."
        )
    if options.by == "group":
        for wanted in options.heldout:
            if wanted not in values:
                known = nearest(wanted, sorted(values))
                raise StudyError(f"split: no problem has {options.group} {wanted!r}{known}.")


def _keep_some_validation(
    splits: dict[str, Split],
    options: SplitOptions,
    together_with: Sequence[Sequence[str]],
    keyless: Set[str],
) -> None:
    """Move a problem to validation where none was drawn; training cannot choose without one."""
    if options.valid_share == 0 or _has(splits, Split.VALID, keyless):
        return
    paired = set(keyless).union(*together_with)
    alone = [i for i, split in splits.items() if split is Split.TRAIN and i not in paired]
    if len(alone) > 1:
        splits[min(alone, key=lambda item: _draw(item, options.seed, "valid"))] = Split.VALID


def _has(splits: Mapping[str, Split], wanted: Split, keyless: Set[str]) -> bool:
    """Return whether a problem that has a key is on a split."""
    return any(split is wanted and i not in keyless for i, split in splits.items())


def _refuse_empty_splits(
    splits: Mapping[str, Split], options: SplitOptions, keyless: Set[str]
) -> None:
    counts = Counter(splits.values())
    if not splits:
        raise StudyError(
            "split: there are no problems to divide: the sources hold none, or every one was "
            "excluded; potstill problems STUDY shows which."
        )
    if not counts[Split.TRAIN]:
        raise StudyError(
            f"split: by: {options.by} leaves none of {several(len(splits), 'problem')} to train "
            "on; hold out less."
        )
    if keyless and not _has(splits, Split.HELDOUT, keyless):
        raise StudyError(
            f"split: by: {options.by} holds out none of {several(len(splits), 'problem')}: "
            f"{len(keyless):,} have no key, and only what has one is held out; give more of them "
            "keys, or add a source of problems with keys, use: heldout."
        )
    if not counts[Split.HELDOUT]:
        raise StudyError(
            f"split: by: {options.by} holds out none of {several(len(splits), 'problem')}; "
            f"{_more(options)}, or mark a source use: heldout."
        )


def _more(options: SplitOptions) -> str:
    """Return how more problems are held out, by the way they are."""
    if options.by == "share":
        return "raise heldout_share"
    if options.by == "group":
        return f"name values of the group {options.group} that exist"
    return f"let some have heldout as their group {options.group} (heldout: of the pocket source)"
