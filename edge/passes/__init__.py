"""Rewrites of a captured program: one per file, each exact, each with its own test."""
