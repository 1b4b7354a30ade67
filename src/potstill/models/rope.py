"""By how much Llama 3.1 and later turn each pair of a head more slowly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["llama3_factors"]


def llama3_factors(rope: Mapping[str, Any], head_size: int) -> list[float]:
    """Return what each frequency is divided by, as transformers' ``_compute_llama3_parameters``."""
    factor, low, high = rope["factor"], rope["low_freq_factor"], rope["high_freq_factor"]
    context = rope["original_max_position_embeddings"]
    factors = []
    for pair in range(0, head_size, 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (pair / head_size)
        smooth = (context / wavelength - low) / (high - low)
        share = min(1.0, max(0.0, smooth))
        factors.append(1 / ((1 - share) / factor + share))
    return factors
