"""The database: rows, the engine and its migrations."""
