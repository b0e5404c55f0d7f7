"""Barge-in: whether speech over the agent stops it."""
