"""Programs that a benchmark starts and measures, each in a process of its own."""
