"""Sans-IO codecs for Twilio and OpenAI Realtime: JSON and forms to typed values, and back.

Level 1: imports level 0 only. No Trio, no clock, no socket, no logger.

Rule 1: malformed input raises `RemoteProtocolError`, which names the field; no
other exception leaves a codec.
Rule 2: an unknown message becomes a value; it is neither an exception nor ignored silently.
Rule 3: a codec knows its protocol and nothing about calls.
"""
