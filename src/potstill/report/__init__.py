"""The report: claims, figures and tables, all from the same numbers."""
