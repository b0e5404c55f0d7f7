"""The OpenAI Realtime provider: settings, opening of a session, translation of events and orders.

Read settings.py first, then opening.py and session.py. incoming.py and outgoing.py
translate between OpenAI's events and voicecore's.
"""

from __future__ import annotations

from voicecore.providers.openai_realtime.settings import OpenAIRealtime

__all__ = ["OpenAIRealtime"]
