"""The OpenAI Realtime provider: settings, opening of a session, translation of events and orders.

Read settings.py first (what a session is asked to be), then opening.py and
session.py (holding one); incoming.py and outgoing.py are the tables between the
wire's events and voicecore's.
"""

from __future__ import annotations

from voicecore.providers.openai_realtime.settings import OpenAIRealtime

__all__ = ["OpenAIRealtime"]
