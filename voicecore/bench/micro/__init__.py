"""Benchmarks of single parts: codecs, audio, state machines, sockets."""
