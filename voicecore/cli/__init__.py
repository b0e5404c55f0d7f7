"""The command line: `voicecore demo`, `serve`, `call`, `check`.

Level 6: the only package that prints.
"""
