"""Very many problems in compact columns: their texts, hashes of what makes two alike, and sketches.

A problem of 300 characters takes about 450 bytes here, and no Python object.
"""

from __future__ import annotations

import hashlib
import random
from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from potstill.lessons.overlap import split_numbers
from potstill.problems.raw import normalise
from potstill.records import Problem
from potstill.tables import in_batches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["GRAM", "SKETCH_VALUES", "Columns", "Strings", "sketches"]

SKETCH_VALUES = 64
GRAM = 5  # characters
_BATCH = 500  # problems
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


class Columns:
    """The problems of ``a`` and then of ``b``, n in all; each is gone through once, in its order.

    ``ids`` and ``normals`` (normalised texts) are strings; ``normal_hash``, ``masked_hash`` and
    ``numbers_hash`` [n] 64-bit hashes of the normalised text, of the same with its numbers masked,
    and of the numbers; ``lengths`` [n] the characters of the normalised text; ``sketch`` [n, 64]
    bytes of the masked text's MinHash.
    """

    def __init__(self, a: Sequence[Problem], b: Sequence[Problem] = ()) -> None:
        import numpy as np

        n = len(a) + len(b)
        self.of_a = len(a)
        self.ids, self.normals = Strings(), Strings()
        self.normal_hash, self.masked_hash, self.numbers_hash = np.empty((3, n), np.uint64)
        self.lengths = np.empty(n, np.int32)
        self.sketch = np.empty((n, SKETCH_VALUES), np.uint8)
        for problems in (a, b):
            for batch in in_batches(problems, _BATCH):
                self._add(batch)

    def __len__(self) -> int:
        return len(self.lengths)

    def _add(self, problems: Sequence[Problem]) -> None:
        start = len(self.ids)
        masked_texts = []
        for i, problem in enumerate(problems, start):
            normal = normalise(problem.text)
            masked, numbers = split_numbers(normal)
            self.ids.append(problem.id)
            self.normals.append(normal)
            self.normal_hash[i] = _hash64(normal)
            self.masked_hash[i] = _hash64(masked)
            self.numbers_hash[i] = _hash64("\0".join(numbers))
            self.lengths[i] = len(normal)
            masked_texts.append(masked)
        self.sketch[start : len(self.ids)] = sketches(masked_texts)

    def normal(self, index: int) -> str:
        return self.normals[index]

    def masked(self, index: int) -> str:
        return split_numbers(self.normals[index])[0]


def _hash64(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def sketches(texts: Sequence[str]) -> NDArray[np.uint8]:
    """The MinHash of each text's character 5-grams: [texts, 64] bytes.

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
