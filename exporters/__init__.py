"""Exporters: one file per target format, found by file name."""
