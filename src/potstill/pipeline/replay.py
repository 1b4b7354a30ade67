"""Ordinary chats beside the lessons: which of a study's file its students are trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from potstill.errors import InputError
from potstill.lessons.replay import Chat, ChatRow, Replay, choose_chats, problems_in, read_chats
from potstill.pipeline.context import Context
from potstill.records import Problem, Split, content_hash
from potstill.store.cells import Cell, Filling
from potstill.store.fingerprint import fingerprint
from potstill.training.examples import Example, encode_examples

if TYPE_CHECKING:
    from potstill.pipeline.services import LocalModels
    from potstill.study.schema import Study

__all__ = ["open_replay", "replay_identity", "with_chats"]

Sets = tuple[tuple[Example, ...], tuple[Example, ...]]
_VERSION = 1  # raised when what is told of the same chats changes


def replay_identity(study: Study) -> dict[str, object]:
    """Return what names a student's cell beside its data: nothing without replay."""
    replay = study.training.replay
    return {"replay": fingerprint(replay.model_dump(mode="json"))} if replay else {}


def with_chats(replay: Replay | None, sets: Sets, seed: int) -> Sets:
    """Return a student's sets with its chats behind the lessons trained on.

    Validation stays as it is, so that students with chats and without stop by the same measure.
    """
    if replay is None:
        return sets
    train, valid = sets
    return (*train, *map(_example, replay.draw(len(train), seed))), valid


def _example(chat: Chat) -> Example:
    return Example(chat.id, chat.messages, chat.completion)


def open_replay(
    context: Context, models: LocalModels, by_split: Mapping[Split, Sequence[Problem]]
) -> Replay | None:
    """Return the chats that a study's students may be trained on, None where it has none.

    A chat that holds a problem which is validated on, held out or kept is none of them, nor one
    longer than the recipe's limit. Raises InputError where none is left.
    """
    options = context.study.training.replay
    if options is None:
        return None
    chats = read_chats(options.path)
    scored = [p for split in (Split.VALID, Split.HELDOUT, Split.KEPT) for p in by_split[split]]
    rows = _looked_at(context, models, chats, scored)
    limit = context.recipe.sequence_tokens(models.context_tokens())
    return choose_chats(options.path, options.share, chats, rows, limit)


def _looked_at(
    context: Context, models: LocalModels, chats: Sequence[Chat], scored: Sequence[Problem]
) -> Sequence[ChatRow]:
    """Return what is known of each chat, kept as a cell: it takes long to find out of many."""
    cell = Cell.of(
        "replay",
        chats=content_hash(chats),
        problems=content_hash([(p.id, p.text) for p in scored]),
        base=context.base_hash,
        version=_VERSION,
    )
    if context.read_only and not context.store.exists(cell):
        return list(_look(models, chats, scored, lambda: None))

    def make(out: Filling) -> None:
        with context.progress.stage("replay", len(chats), "chats") as bar:
            for row in _look(models, chats, scored, bar.advance):
                out.add("chats", row)

    context.cell(cell, "replay", {"chats": ChatRow}, make)
    return context.store.rows(cell, "chats", ChatRow)


def _look(
    models: LocalModels, chats: Sequence[Chat], scored: Sequence[Problem], done: Callable[[], None]
) -> Iterator[ChatRow]:
    held = problems_in(chats, scored)
    for chat in chats:
        try:
            (found,) = encode_examples(models.tokenizer(), [_example(chat)], 1 << 62).examples
        except InputError as exc:  # the base's template refuses its turns
            raise InputError(f"training.replay: row {chat.row}: {exc}; delete the row.") from exc
        yield ChatRow(chat.row, len(found.tokens), held.get(chat.row, ""))
        done()
