"""What is kept and shown of a call: records, transcripts, recordings.

Level 3: takes levels 0 to 2; never the engine, a carrier or a provider.
"""
