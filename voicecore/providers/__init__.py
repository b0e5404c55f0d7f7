"""AI providers, one folder each: settings, opening of sessions, translation of events and orders.

Level 3: takes wire/, net/ and ports; never the engine and never another provider.
"""
