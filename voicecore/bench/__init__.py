"""`python -m voicecore.bench`: latency and cost of the engine, measured against the twins.

Level 6.
"""
