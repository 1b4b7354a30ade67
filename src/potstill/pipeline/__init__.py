"""The stages of a study, read top to bottom, and what they stand on."""
