"""Benchmarks of whole calls, and the simulated peers that they run between."""
