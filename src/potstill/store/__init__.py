"""What is kept: a study's cells as files, tables, and reading what cannot be trusted."""
