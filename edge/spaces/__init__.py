"""The search spaces, one family per file, found by file name."""
