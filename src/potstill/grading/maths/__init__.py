"""Whether two answers are equal: notation, values, units, sets, by kind."""
