"""Very many problems in compact columns: their texts, hashes of what makes two alike, and sketches.

A problem of 300 characters takes about 450 bytes here, and no Python object.
"""

from __future__ import annotations

import hashlib
import random
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from potstill.problems.overlap.pairs import split_numbers
from potstill.problems.raw import normalise
from potstill.records import Problem
from potstill.store.tables import in_batches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "GRAM",
    "SKETCH_VALUES",
    "Sketched",
    "Sketcher",
    "Strings",
    "TextColumns",
    "sketched",
    "sketches",
]

SKETCH_VALUES = 64
GRAM = 5  # characters
_BATCH = 5_000  # problems, some tenths of a second
_AT_ONCE = 500  # texts, whose grams stay in a core's cache
_DRAW = random.Random(1)
_FACTORS = [_DRAW.getrandbits(32) | 1 for _ in range(SKETCH_VALUES)]  # odd: each a permutation


class Strings:
    """Strings in one buffer, appended to and read by their index."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("q", [0])

    def append(self, text: str) -> None:
        self._bytes += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._bytes))

    def __getitem__(self, index: int) -> str:
        found = self._bytes[self._ends[index] : self._ends[index + 1]]
        return found.decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return (self[k] for k in range(len(self)))

    def __len__(self) -> int:
        return len(self._ends) - 1


@dataclass(frozen=True, slots=True)
class Sketched:
    """What a batch of texts brings into :class:`TextColumns`, under the same names."""

    normals: list[str]
    normal_hash: NDArray[np.uint64]
    masked_hash: NDArray[np.uint64]
    numbers_hash: NDArray[np.uint64]
    lengths: NDArray[np.int32]
    sketch: NDArray[np.uint8]


class Sketcher(Protocol):
    """Who sketches: :func:`sketched` of every batch, in their order."""

    def sketch(self, batches: Iterable[Sequence[str]]) -> Iterator[Sketched]: ...


def sketched(texts: Sequence[str]) -> Sketched:
    """Return the texts normalised, hashed and sketched."""
    import numpy as np

    normals = [normalise(text) for text in texts]
    split = [split_numbers(normal) for normal in normals]
    masked = [text for text, _ in split]
    parts = [sketches(masked[k : k + _AT_ONCE]) for k in range(0, len(masked), _AT_ONCE)]
    return Sketched(
        normals,
        _hashes(normals),
        _hashes(masked),
        _hashes("\0".join(numbers) for _, numbers in split),
        np.fromiter(map(len, normals), np.int32, len(normals)),
        np.concatenate(parts),
    )


class TextColumns:
    """The problems of ``a`` and then of ``b``, n in all; each is gone through once, in its order.

    ``ids`` and ``normals`` (normalised texts) are strings; ``normal_hash``, ``masked_hash`` and
    ``numbers_hash`` [n] 64-bit hashes of the normalised text, of the same with its numbers masked,
    and of the numbers; ``lengths`` [n] the characters of the normalised text; ``sketch`` [n, 64]
    bytes of the masked text's MinHash.
    """

    def __init__(self, a: Sequence[Problem], b: Sequence[Problem], sketcher: Sketcher) -> None:
        import numpy as np

        n = len(a) + len(b)
        self.of_a = len(a)
        self.ids, self.normals = Strings(), Strings()
        self.normal_hash, self.masked_hash, self.numbers_hash = np.empty((3, n), np.uint64)
        self.lengths = np.empty(n, np.int32)
        self.sketch = np.empty((n, SKETCH_VALUES), np.uint8)
        for batch in sketcher.sketch(self._texts(a, b)):
            start = len(self.normals)
            for normal in batch.normals:
                self.normals.append(normal)
            part = slice(start, len(self.normals))
            self.normal_hash[part], self.masked_hash[part] = batch.normal_hash, batch.masked_hash
            self.numbers_hash[part], self.lengths[part] = batch.numbers_hash, batch.lengths
            self.sketch[part] = batch.sketch

    def _texts(self, *sides: Sequence[Problem]) -> Iterator[list[str]]:
        for problems in sides:
            for batch in in_batches(problems, _BATCH):
                for problem in batch:
                    self.ids.append(problem.id)
                yield [problem.text for problem in batch]

    def __len__(self) -> int:
        return len(self.lengths)

    def normal(self, index: int) -> str:
        return self.normals[index]

    def masked(self, index: int) -> str:
        return split_numbers(self.normals[index])[0]


def _hashes(texts: Iterable[str]) -> NDArray[np.uint64]:
    import numpy as np

    digests = (
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for text in texts
    )
    return np.frombuffer(b"".join(digests), "<u8")


def sketches(texts: Sequence[str]) -> NDArray[np.uint8]:
    """Return the MinHash of each text's character 5-grams: [texts, 64] bytes.

    Two texts agree in a value with the probability J + (1 - J) / 256, J being the share of their
    5-grams that both have (Broder 1997, "On the resemblance and containment of documents"; of each
    minimum the lowest byte is kept, Li and König 2010, arXiv 0910.3349).
    """
    import numpy as np

    # four zeros after each text, so that its last grams end in them and none reaches the next
    padded = [(text or " ") + "\0" * (GRAM - 1) for text in texts]
    lengths = np.fromiter(map(len, padded), np.int64, len(padded))
    code_points = "".join(padded).encode("utf-32-le", "surrogatepass")
    characters = np.frombuffer(code_points, "<u4").astype(np.uint32)
    grams = np.zeros(len(characters), np.uint32)
    for place in range(GRAM):
        grams ^= np.roll(characters, -place)
        grams *= np.uint32(0x9E3779B1)
        grams ^= grams >> np.uint32(15)
    # the last four positions of each text begin no gram of its own
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    begins = np.ones(len(grams), bool)
    for place in range(1, GRAM):
        begins[starts + lengths - place] = False
    starts -= (GRAM - 1) * np.arange(len(texts))
    grams = grams[begins]
    found = np.empty((len(texts), SKETCH_VALUES), np.uint8)
    for value, factor in enumerate(_FACTORS):
        hashed = grams * np.uint32(factor)
        found[:, value] = np.minimum.reduceat(hashed, starts).astype(np.uint8)
    return found
