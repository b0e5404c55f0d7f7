"""Audio: formats, G.711, conversion, resampling, framing, levels, recordings.

Level 0: imports only errors, attrs and numpy. Pure: no Trio, no clock, no file.
Read formats.py first.
"""
