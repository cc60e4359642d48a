"""Latencies that others measured and published: each form in its file, one record for all."""
