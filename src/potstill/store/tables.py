"""Tables of records as Parquet files, written as they come and read a batch at a time.

A table may hold more than fits in memory. What is small is read into a list; what is large is a
:class:`Rows`, a sequence that decodes a batch when it is come to.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate, islice
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeVar, overload

from potstill.errors import StoreError
from potstill.records import Problem, hash_items
from potstill.store.arrow import arrow_schema, from_batch, to_rows

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["Lazy", "Part", "Rows", "TableWriter", "beside", "in_batches", "part"]

R = TypeVar("R")

BATCH_ROWS = 2_048
BATCH_CHARACTERS = 8 << 20
"""A row group ends with whichever comes first."""
_KEPT_BATCHES = 4


class TableWriter:
    """One table being written; ``rows`` so far. What is added is on its way to the file at once.

    The sink gets Parquet, zstd, with a checksum on every page.
    """

    def __init__(self, record: type, sink: IO[bytes]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.rows = 0
        self._record, self._schema = record, arrow_schema(record)
        self._waiting: list[Any] = []
        self._characters = 0
        self._table = pa.Table
        self._writer = pq.ParquetWriter(
            sink, self._schema, compression="zstd", write_page_checksum=True
        )

    def add(self, item: Any) -> None:
        """Add the record to the table as a row."""
        self._waiting.append(item)
        self._characters += _characters(item)
        if len(self._waiting) >= BATCH_ROWS or self._characters >= BATCH_CHARACTERS:
            self._flush()

    def close(self) -> None:
        """Write the rest of the table; the sink is left open."""
        self._flush()
        self._writer.close()

    def abandon(self) -> None:
        """Give up whatever was written (even if a full disk refuses it)."""
        with suppress(OSError):
            self._writer.close()

    def _flush(self) -> None:
        if not self._waiting:
            return
        rows = to_rows(self._record, self._waiting)
        self._writer.write_table(self._table.from_pylist(rows, schema=self._schema))
        self.rows += len(rows)
        self._waiting, self._characters = [], 0


class Lazy(Sequence[R]):
    """A sequence that knows its own hash once it was asked for it."""

    _hash = ""

    def content_hash(self) -> str:
        """Return the sha256 hex digest of the items, as of a list of them."""
        self._hash = self._hash or hash_items(self)
        return self._hash

    @overload
    def __getitem__(self, place: int) -> R: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[R]: ...

    def __getitem__(self, place: int | slice) -> R | Sequence[R]:
        if isinstance(place, slice):
            return part(self, range(*place.indices(len(self))))
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        return self._at(place % len(self))

    def _at(self, place: int) -> R:
        raise NotImplementedError


class Rows(Lazy[R]):
    """The records of a Parquet file that ``open_file`` opens anew for every pass over it.

    Passing over them in order is cheap; so is picking them near each other. What cannot be decoded
    raises what ``damaged`` gives.
    """

    def __init__(
        self, record: type[R], open_file: Callable[[], IO[bytes]], damaged: Callable[[], Exception]
    ) -> None:
        self._record, self._open, self._damaged = record, open_file, damaged
        self._kept: OrderedDict[int, list[R]] = OrderedDict()
        with self._file() as file:
            groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
        self.bytes = sum(group.total_byte_size for group in groups)
        self._ends = list(accumulate(group.num_rows for group in groups))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[R]:
        with self._file() as file:
            yield from self._decoded(file, None)

    def column(self, *names: str) -> Iterator[tuple[Any, ...]]:
        """Yield these plain columns row by row, without reading the others."""
        with self._file() as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=list(names)):
                columns = [batch.column(name).to_pylist() for name in names]
                yield from zip(*columns, strict=True)

    def _at(self, place: int) -> R:
        group = bisect_right(self._ends, place)
        if group not in self._kept:
            with self._file() as file:
                self._kept[group] = list(self._decoded(file, [group]))
            while len(self._kept) > _KEPT_BATCHES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(group)
        return self._kept[group][place - (self._ends[group - 1] if group else 0)]

    def _decoded(self, file: pq.ParquetFile, groups: list[int] | None) -> Iterator[R]:
        for batch in file.iter_batches(BATCH_ROWS, row_groups=groups, use_threads=False):
            yield from from_batch(self._record, batch)

    def _file(self) -> _OpenFile:
        return _OpenFile(self._open, self._damaged)


class _OpenFile:
    """An open Parquet file; what is wrong with its content leaves as ``damaged``."""

    def __init__(self, open_file: Callable[[], IO[bytes]], damaged: Callable[[], Exception]):
        self._open, self._damaged = open_file, damaged

    def __enter__(self) -> pq.ParquetFile:
        import pyarrow.parquet as pq

        self._raw = self._open()
        try:
            return pq.ParquetFile(self._raw, page_checksum_verification=True)
        except BaseException as exc:
            self.__exit__(type(exc), exc, None)
            raise

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        import pyarrow as pa

        self._raw.close()
        if isinstance(exc, pa.ArrowException | OSError | ValueError | TypeError | KeyError):
            raise self._damaged() from exc


class Part(Lazy[R]):
    """Some items of a large sequence, by their places in it."""

    def __init__(self, whole: Sequence[R], places: Sequence[int]) -> None:
        import numpy as np

        self._whole, self._places = whole, np.asarray(places, np.int64)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[R]:
        places = self._places
        if (places[1:] > places[:-1]).all():
            yield from _in_order(self._whole, places.tolist())
        else:
            yield from (self._whole[i] for i in places.tolist())

    def _at(self, place: int) -> R:
        return self._whole[int(self._places[place])]


def part(whole: Sequence[R], places: Sequence[int]) -> Sequence[R]:
    """Return the items at these places: a list of a list's, a view of a large sequence's."""
    return Part(whole, places) if isinstance(whole, Lazy) else [whole[i] for i in places]


class Filed(Protocol):
    """Whatever belongs to one problem."""

    @property
    def problem_id(self) -> str: ...


F = TypeVar("F", bound=Filed)


def beside(problems: Iterable[Problem], items: Iterable[F]) -> Iterator[tuple[Problem, F]]:
    """Yield every item with its problem.

    Items are in the order of the problems; any number may belong to each. Raises StoreError for
    one that belongs to none of them, or stands where it should not.
    """
    following = iter(problems)
    problem = None
    for item in items:
        while problem is None or problem.id != item.problem_id:
            problem = next(following, None)
            if problem is None:
                raise StoreError(
                    f"what is kept of {item.problem_id} belongs to no problem here, or is out of "
                    "order; potstill verify DIR says which file is damaged."
                )
        yield problem, item


def in_batches(items: Iterable[R], size: int) -> Iterator[list[R]]:
    """Yield the items in lists of ``size``, the last one shorter."""
    following = iter(items)
    while batch := list(islice(following, size)):
        yield batch


def _in_order(whole: Iterable[R], places: Iterable[int]) -> Iterator[R]:
    wanted = iter(places)
    following = next(wanted, -1)
    for i, item in enumerate(whole):
        if i == following:
            yield item
            following = next(wanted, -1)
            if following < 0:
                return


def _characters(item: Any) -> int:
    values = (getattr(item, name) for name in item.__dataclass_fields__)
    return sum(len(value) for value in values if isinstance(value, str))
