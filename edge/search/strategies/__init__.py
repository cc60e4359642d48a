"""The strategies of a search, one per file, found by file name."""
