"""Carriers, one folder each: webhooks, media stream, dialling and hang-up.

Level 3: imports wire/, net/ and ports; never the engine or another carrier.
"""
