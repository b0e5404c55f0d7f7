"""Audio as bytes: formats, G.711, conversion, framing, levels, recordings.

Level 0: imports only itself, attrs and numpy.  Pure: no Trio, no clock, no file.
Read formats.py first.
"""
