"""SQLite databases as files: which file a path names, who else can reach it, and who upgrades it now."""
