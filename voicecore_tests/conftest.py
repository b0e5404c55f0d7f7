"""Settings of all tests.

Hypothesis has no deadline a test: on a machine with few cores a slow example
says nothing about the code. ``HYPOTHESIS_PROFILE=long`` looks ten times as far.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("house", deadline=None, print_blob=True)
settings.register_profile("long", deadline=None, print_blob=True, max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))
