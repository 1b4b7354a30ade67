"""Libraries that a benchmark lays beside what Potstill does itself."""
