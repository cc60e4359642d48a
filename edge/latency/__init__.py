"""Latency tables: the time of every fused block of a search space on one device, and what a network of them takes."""
