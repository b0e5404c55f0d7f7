"""The machines that decide: playout ledger, response owner, transcript, turns, and the conversation that joins them.

Level 1: imports level 0 only.  No Trio, no clock, no socket, no logger; time is an argument.
A machine takes an event and `now`, and returns orders and a deadline.  Read conversation.py first.
"""
