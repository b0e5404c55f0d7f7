"""The version of voicecore; the distribution, the program and the package take it from here."""

__version__ = "0.1.0"
