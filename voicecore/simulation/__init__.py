"""Twins and the simulated world: peers that speak the real wire, and a World in virtual time.

Level 5.  A twin is written from the sheet in docs/protocols/s, not from our codecs, so that it can disagree with them.
"""
