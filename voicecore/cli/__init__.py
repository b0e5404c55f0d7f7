"""The command line: `voicecore demo`, `serve`, `check`.

Level 6: the only room that prints.
"""
