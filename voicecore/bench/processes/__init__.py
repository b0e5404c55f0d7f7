"""Processes that a benchmark starts and measures."""
