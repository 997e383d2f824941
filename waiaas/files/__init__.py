"""SQLite databases as files."""
