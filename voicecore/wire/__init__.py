"""Sans-IO codecs: text of a peer in, typed frozen events out, and back.

Level 1: imports level 0 only.  No Trio, no clock, no socket, no logger.
Rule 1: malformed input raises `RemoteProtocolError` naming the field; nothing else escapes.
Rule 2: an unknown message becomes a value, never an exception and never silence.
Rule 3: codecs know their wire; they do not know calls.
"""
