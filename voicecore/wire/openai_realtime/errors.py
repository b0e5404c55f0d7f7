"""Classifies the provider's error codes, close codes and HTTP statuses: retry, give up, or ignore.

Rule 1: classification is by table; a new code of the provider is a new row.
Rule 2: the code decides, then the type, then the message: some errors have no code,
or have it in the type field. An error that is fatal by code or type is fatal. An
unknown error is `ErrorClass.UNKNOWN`.
Rule 3: an unknown close code or status is not retried, to avoid reconnecting for ever.

Facts: OpenAI Realtime, sections endpoint and handshake, errors and closes.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

import orjson

from voicecore.events import Severity


class ErrorClass(enum.Enum):
    """What to do about an `error` event, or the error of a failed response."""

    FATAL = "fatal"  #: no session is possible with this key, model or API shape
    SESSION_OVER = "session_over"  #: this session is over; a new one may continue
    RETRY_RESPONSE = "retry_response"  #: the response failed; request it again after a pause
    DEFER = "defer"  #: another response is active; request again when it has ended
    IGNORE = "ignore"  #: there was nothing left to act on
    LOG = "log"  #: the request was refused for its content; the session goes on
    OUR_BUG = "our_bug"  #: we sent something that the API does not know
    UNKNOWN = "unknown"  #: not in any table

    @property
    def severity(self) -> Severity:
        """The severity, in terms common to all providers."""
        return _SEVERITIES[self]


_SEVERITIES: Final[Mapping[ErrorClass, Severity]] = {
    ErrorClass.FATAL: Severity.FATAL,
    ErrorClass.SESSION_OVER: Severity.FATAL,
    ErrorClass.RETRY_RESPONSE: Severity.REFUSED,
    ErrorClass.DEFER: Severity.BUSY,
    ErrorClass.IGNORE: Severity.HARMLESS,
    ErrorClass.LOG: Severity.REFUSED,
    ErrorClass.OUR_BUG: Severity.REFUSED,
    ErrorClass.UNKNOWN: Severity.REFUSED,
}

ERROR_CODES: Final[Mapping[str, ErrorClass]] = {
    "invalid_api_key": ErrorClass.FATAL,
    "account_deactivated": ErrorClass.FATAL,
    "insufficient_quota": ErrorClass.FATAL,
    "billing_hard_limit_reached": ErrorClass.FATAL,
    "beta_api_shape_disabled": ErrorClass.FATAL,
    "model_not_found": ErrorClass.FATAL,
    "session_expired": ErrorClass.SESSION_OVER,
    "rate_limit_exceeded": ErrorClass.RETRY_RESPONSE,
    "inference_rate_limit_exceeded": ErrorClass.RETRY_RESPONSE,
    "server_error": ErrorClass.RETRY_RESPONSE,
    "conversation_already_has_active_response": ErrorClass.DEFER,
    "response_cancel_not_active": ErrorClass.IGNORE,
    "input_audio_buffer_commit_empty": ErrorClass.IGNORE,
    "item_truncate_invalid_item_id": ErrorClass.LOG,
    "item_not_found": ErrorClass.LOG,
    "item_retrieve_invalid_item_id": ErrorClass.LOG,
    "invalid_value": ErrorClass.LOG,
    "unknown_parameter": ErrorClass.OUR_BUG,
    "missing_required_parameter": ErrorClass.OUR_BUG,
    "unsupported_content_type": ErrorClass.OUR_BUG,
    "unknown_event": ErrorClass.OUR_BUG,  # the real server's spelling was not captured
    "cannot_update_voice": ErrorClass.OUR_BUG,
}

ERROR_TYPES: Final[Mapping[str, ErrorClass]] = {
    **ERROR_CODES,  # some servers put the code into the type
    "authentication_error": ErrorClass.FATAL,
    "permission_error": ErrorClass.FATAL,
    "rate_limit_error": ErrorClass.RETRY_RESPONSE,
}

ERROR_MESSAGES: Final[Mapping[str, ErrorClass]] = {
    "Only model output audio messages can be truncated": ErrorClass.LOG,
    "You exceeded your current quota": ErrorClass.FATAL,
    "Incorrect API key provided": ErrorClass.FATAL,
    "Your session hit the maximum duration": ErrorClass.SESSION_OVER,
}
"""Beginnings of messages without a code."""


def classify_error(code: str | None, error_type: str | None = None, message: str | None = None) -> ErrorClass:
    """Classify an error; for a failed response, pass the code and type of its status details."""
    by_code, by_type = ERROR_CODES.get(code or ""), ERROR_TYPES.get(error_type or "")
    if ErrorClass.FATAL in {by_code, by_type}:
        return ErrorClass.FATAL
    return by_code or by_type or _by_message(message or "", is_all=code is None and error_type is None)


def _by_message(message: str, *, is_all: bool) -> ErrorClass:
    """Classify by the beginning of a message; if there is nothing else, also by a code in its text."""
    by_start = (meaning for start, meaning in ERROR_MESSAGES.items() if message.startswith(start))
    by_word = (meaning for code, meaning in ERROR_CODES.items() if is_all and code in message)
    return next(by_start, None) or next(by_word, ErrorClass.UNKNOWN)


def refusal_message(body: bytes) -> str | None:
    """Return the error message in the body of a refused upgrade, raw: it may repeat the key. None if there is none."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    error = answer.get("error") if isinstance(answer, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else None


class Outlook(enum.Enum):
    """Whether a retry can succeed after a connection ended or was refused."""

    OVER = "over"  #: a normal end; no retry
    RETRY = "retry"  #: the peer failed; a retry may succeed at once
    RETRY_LATER = "retry_later"  #: a limit was reached; a retry may succeed after a pause
    REFUSED = "refused"  #: a retry would be refused again


CLOSE_CODES: Final[Mapping[int, Outlook]] = {
    1000: Outlook.OVER,
    1001: Outlook.RETRY,  # going away: expiry, deploys
    1005: Outlook.RETRY,  # no code was given
    1006: Outlook.RETRY,  # the connection broke
    1011: Outlook.RETRY,
    1012: Outlook.RETRY,
    1013: Outlook.RETRY,
    1015: Outlook.RETRY,
}
"""Every other code counts as refused, also 4000 to 4999: 4000 closes a connection of the beta API."""

HTTP_STATUSES: Final[Mapping[int, Outlook]] = {
    408: Outlook.RETRY,
    429: Outlook.RETRY_LATER,
    500: Outlook.RETRY,
    502: Outlook.RETRY,
    503: Outlook.RETRY_LATER,
    504: Outlook.RETRY,
}
"""Every other status counts as refused: 401 is a bad key, 403 a permission or region, 404 a URL or model."""


def classify_close(code: int | None) -> Outlook:
    """Return the outlook after a close; None: the connection ended without a close frame."""
    return CLOSE_CODES.get(1006 if code is None else code, Outlook.REFUSED)


def classify_status(status: int) -> Outlook:
    """Return the outlook after an upgrade was refused with an HTTP status."""
    return HTTP_STATUSES.get(status, Outlook.REFUSED)
