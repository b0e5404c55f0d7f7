"""Call records on disk, and the picture of a call's timeline.

Level 3: imports levels 0 to 2; never the engine, a carrier or a provider.
"""
