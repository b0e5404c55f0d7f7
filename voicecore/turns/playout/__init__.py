"""Playout: how far agent audio runs ahead of the ear, and what of it was heard."""
