"""One response of a provider session, and the JSON objects that its events carry."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import orjson

from voicecore.bench.load.answer_log import Answer
from voicecore.bench.load.turn_cycle import Turn

_WORDS = "of course I will look that up for you and call you back tomorrow morning if that is fine"
TRANSCRIPT = "Could you look that up for me?"
RATE_LIMITS = [{"name": "tokens", "limit": 800_000, "remaining": 799_000, "reset_seconds": 0.1}]
USAGE = {
    "total_tokens": 300,
    "input_tokens": 200,
    "output_tokens": 100,
    "input_token_details": {"text_tokens": 100, "audio_tokens": 100, "cached_tokens": 0},
    "output_token_details": {"text_tokens": 20, "audio_tokens": 80},
}
EXPIRES_AT = 2_000_000_000

_ids = itertools.count(1)


class ProviderResponse:
    """One answer on the wire."""

    def __init__(self, answer: Answer, turn: Turn) -> None:
        self.answer = answer
        self.turn = turn
        self.response_id = new_id("resp")
        self.item_id = new_id("item")
        self.words = itertools.cycle(f"{word} " for word in _WORDS.split())
        self.said = ""
        self.began_at = 0.0
        self.left: int | None = None
        """Deltas that still come before it ends as cancelled; None: all of them."""
        self.place: Mapping[str, object] = {
            "response_id": self.response_id,
            "item_id": self.item_id,
            "output_index": 0,
            "content_index": 0,
        }
        self.head = orjson.dumps(self.place).decode()[1:-1]


def message_item(item_id: str, role: str, status: str, content: object) -> dict[str, object]:
    """Return a message item as events show it."""
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "status": status,
        "role": role,
        "content": content,
    }


def merged_session(session: dict[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with an update in it; turn detection is replaced whole."""
    merged = dict(session)
    for key, value in update.items():
        whole = key in {"turn_detection", "format", "transcription"} or not isinstance(value, dict)
        merged[key] = value if whole else merged_session(session.get(key) or {}, value)
    return merged


def new_id(kind: str) -> str:
    """Return an id that no other object has."""
    return f"{kind}_{next(_ids):021d}"
