"""Calls that run: the call nursery, the paced sender, the call book and the host.

Level 3: takes turns/ and ports, never a carrier or a provider.  Read live_call.py first.
"""
