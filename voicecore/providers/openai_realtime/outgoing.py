"""Translates voicecore's session orders into OpenAI's client events, by table.

Rule: a request's id is also its event's id, so that an error as well as the start
of the response names the request.

session.py translates two orders itself: `RestoreTurnDetection`, which needs the
session's configuration, and user audio, for speed.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from voicecore import events as ev
from voicecore.wire import openai_realtime as wire


def to_wire(order: ev.SessionOrder) -> wire.ClientEvent:
    """Return the client event for an order."""
    return _ROWS[type(order)](order)


def _request(order: ev.RequestResponse) -> wire.ClientEvent:
    return wire.ResponseCreate(request_id=order.request_id, instructions=order.instructions, event_id=order.request_id)


_ROWS: Mapping[type, Callable[[Any], wire.ClientEvent]] = {
    ev.CommitUserAudio: lambda _: wire.InputAudioCommit(),
    ev.DiscardUserAudio: lambda _: wire.InputAudioClear(),
    ev.AddUserText: lambda o: wire.ItemCreate(item=wire.UserMessage(text=o.text)),
    ev.AddAgentText: lambda o: wire.ItemCreate(item=wire.AssistantMessage(text=o.text)),
    ev.AddToolResult: lambda o: wire.ItemCreate(item=wire.FunctionCallOutput(call_id=o.call_id, output=o.output)),
    ev.RequestResponse: _request,
    ev.CancelResponse: lambda o: wire.ResponseCancel(response_id=o.response_id),
    ev.TruncateItem: lambda o: wire.ItemTruncate(item_id=o.item_id, audio_end_ms=o.audio_end_ms),
    ev.DeleteItem: lambda o: wire.ItemDelete(item_id=o.item_id),
}
