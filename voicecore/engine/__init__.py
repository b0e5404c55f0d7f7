"""Running calls: the host, the registry of calls, the tasks of each call, parked sessions, and records.

Level 3: uses turns/ and ports, never a carrier or a provider.  Read live_call.py first.
"""
