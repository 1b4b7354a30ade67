"""The study file: one strict schema, its sections, its text and its templates."""
