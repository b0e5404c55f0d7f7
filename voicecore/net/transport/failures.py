"""Why a connection could not be made, or a port could not be opened: the system's errors as messages.

Rule: a message says what failed (name lookup, TCP, TLS, a limit of this process)
and has the system's own reason, so that an operator knows where to look.

Pure.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})

_NO_TLS = frozenset({"wrong version number", "record layer failure", "packet length too long"})


def is_exhausted(error: OSError) -> bool:
    """Whether the system, or this process, has no resources for another socket."""
    return error.errno in _EXHAUSTED


def exhausted(error: OSError) -> str:
    """Return which limit was met, and what to do about it."""
    if error.errno == errno.EMFILE:
        return "too many open files in this process: raise its limit (ulimit -n, LimitNOFILE=) or take fewer calls"
    if error.errno == errno.ENFILE:
        return "too many open files on this machine: raise fs.file-max or end what uses them"
    return f"the system is short of memory for sockets ({os.strerror(error.errno or 0)})"


def why_not_connected(error: BaseException, host: str) -> str:
    """Return why ``host`` could not be connected to. Of several addresses, the first reason that is known counts."""
    causes = list(_causes(error))
    for cause in causes:
        if (words := _reason(cause, host)) is not None:
            return words
    return next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), "failed")


def why_no_tls(error: BaseException, host: str) -> str:
    """Return why TLS could not be opened with ``host``."""
    cause = error.__cause__ or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"TLS: its certificate was not accepted: {cause.verify_message or 'verification failed'}"
    if isinstance(cause, ssl.SSLError):
        reason = (cause.reason or "handshake failed").replace("_", " ").lower()
        return f"TLS: {reason}" + (" (is this a port that speaks TLS?)" if reason in _NO_TLS else "")
    if isinstance(cause, ValueError):  # of a name that no certificate can be for
        return f"TLS: {host!r} cannot be checked against a certificate"
    return f"TLS: {error}"


def why_not_listening(error: OSError, host: str, port: int) -> str:
    """Return why a port could not be opened, and what to do about it."""
    where = f"cannot listen on {host} port {port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{where}: address already in use: another process has it, perhaps another voicecore. End that one, or "
            "choose another port (server.port or --port, with a public URL that leads to it; for metrics, "
            "server.metrics_port)"
        )
    if error.errno == errno.EACCES:
        return f"{where}: permission denied: ports below 1024 need privileges; choose another (server.port or --port)"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{where}: no network interface of this machine has that address; see server.host"
    if isinstance(error, socket.gaierror):
        return f"{where}: the host name cannot be looked up ({error.strerror}); see server.host"
    return f"{where}: {exhausted(error) if is_exhausted(error) else error.strerror or error}"


def _reason(cause: BaseException, host: str) -> str | None:
    match cause:
        case socket.gaierror():
            return f"the host name {host!r} cannot be looked up (DNS: {cause.strerror})"
        case UnicodeError():
            return f"{host!r} is not a host name"
        case ConnectionRefusedError():
            return "connection refused: nothing listens there"
        case OSError() if is_exhausted(cause):
            return exhausted(cause)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes; Trio groups the errors of a name's addresses."""
    while error is not None:
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                yield from _causes(inner)
        else:
            yield error
        error = error.__cause__
