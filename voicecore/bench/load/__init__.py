"""Benchmarks of whole calls, few and many."""
