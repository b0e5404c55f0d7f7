"""What a response costs: the `usage` of `response.done`, and the rate limits that follow it.

Rule: audio counts one token per 100 ms of the user and one per 50 ms of the agent;
text counts one token per four characters; what an earlier response has already read
counts as cached.

Facts: OpenAI Realtime, section usage and price.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from voicecore.simulation.openai_realtime.items import Item
from voicecore.simulation.openai_realtime.json_checks import JsonObject

_USER_TOKEN_S = 0.1
_AGENT_TOKEN_S = 0.05
_CHARS_PER_TOKEN = 4
_TOKENS_PER_MINUTE = 200_000
_REQUESTS_PER_MINUTE = 400


@attrs.frozen
class TokenCounts:
    """Tokens of some items, by kind."""

    text: int = 0
    audio: int = 0

    def __add__(self, other: TokenCounts) -> TokenCounts:
        return TokenCounts(self.text + other.text, self.audio + other.audio)

    @property
    def total(self) -> int:
        """Both kinds."""
        return self.text + self.audio


class UsageMeter:
    """Counts one session's tokens."""

    def __init__(self) -> None:
        self._read_before = TokenCounts()
        self._used = 0
        self._responses = 0

    def measure(self, instructions: str, context: Iterable[Item], output: Iterable[Item]) -> JsonObject:
        """Return the `usage` of a response that read ``context`` and made ``output``."""
        read = _sum([TokenCounts(text=_text_tokens(instructions)), *(_item_tokens(item) for item in context)])
        made = _sum([_item_tokens(item) for item in output])
        cached = TokenCounts(min(read.text, self._read_before.text), min(read.audio, self._read_before.audio))
        self._read_before = read
        self._used += read.total + made.total
        self._responses += 1
        return {
            "total_tokens": read.total + made.total,
            "input_tokens": read.total,
            "output_tokens": made.total,
            "input_token_details": {
                "text_tokens": read.text,
                "audio_tokens": read.audio,
                "image_tokens": 0,
                "cached_tokens": cached.total,
                "cached_tokens_details": {
                    "text_tokens": cached.text,
                    "audio_tokens": cached.audio,
                    "image_tokens": 0,
                },
            },
            "output_token_details": {"text_tokens": made.text, "audio_tokens": made.audio},
        }

    def rate_limits(self) -> list[JsonObject]:
        """Return the body of `rate_limits.updated`."""
        return [
            _limit("requests", _REQUESTS_PER_MINUTE, self._responses),
            _limit("tokens", _TOKENS_PER_MINUTE, self._used),
        ]


def _limit(name: str, limit: int, used: int) -> JsonObject:
    return {"name": name, "limit": limit, "remaining": max(0, limit - used), "reset_seconds": 60.0 * used / limit}


def _sum(all_tokens: list[TokenCounts]) -> TokenCounts:
    return sum(all_tokens, TokenCounts())


def _text_tokens(text: str) -> int:
    return -(-len(text) // _CHARS_PER_TOKEN)


def _item_tokens(item: Item) -> TokenCounts:
    body = item.body
    words = [part.get("text") or part.get("transcript") or "" for part in body.get("content", ())]
    words += [body.get("arguments", ""), body.get("output", "")]
    token_s = _USER_TOKEN_S if body.get("role") == "user" else _AGENT_TOKEN_S
    seconds = item.audio_format.seconds_in(len(item.audio))
    return TokenCounts(text=sum(_text_tokens(each) for each in words), audio=round(seconds / token_s))
