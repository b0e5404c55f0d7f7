"""One file a carrier: its webhooks and its media stream, as the ports see them.

Level 3: takes wire/, net/ and ports; never the engine and never another carrier.
"""
