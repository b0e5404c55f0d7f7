"""TLS on another wire: OpenSSL works in memory, the wire below does what crosses the process's border.

OpenSSL on two buffers in memory (`ssl.MemoryBIO`) costs a third less to read
than on the socket itself: one system call brings a record, or many, where the
socket would be asked for each head and each body.  And it works on any byte stream.

Rule 1: reading goes on until OpenSSL wants more; what it sends meanwhile (a new key,
an alert) leaves at once or with the next write.
Rule 2: a record that the stream below has not taken whole counts as not written:
the same bytes must be written next, and are not encrypted a second time.
Rule 3: an end without a TLS close_notify counts as an end, as everywhere on the
web: the protocols above know where their messages end.  Nor is one sent on closing.

Implements `voicecore.world.ByteStream`.
"""

from __future__ import annotations

import ssl
from contextlib import suppress

import trio

from voicecore.world import Buffer, ByteStream

_RECORD_BYTES = 16 * 1024  #: of text; the most that a record holds
_READ_BYTES = 32 * 1024  #: from below, at once


class TlsStream(ByteStream):
    """The client's end of TLS."""

    def __init__(self, below: ByteStream, context: ssl.SSLContext, host: str) -> None:
        """Own the stream below; `shake_hands` comes first."""
        super().__init__(below.far_end)
        self.below = below
        self.host = host
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._unsent = b""  # encrypted; at most a record and what OpenSSL says by itself
        self._owed = 0  # bytes of text in it that were not yet reported as written
        self._has_ended = False  # our direction

    async def shake_hands(self) -> None:
        """Open TLS, and check who is there. Has no bound of its own.

        Raises:
            trio.BrokenResourceError: Refused, or the peer is not who it should be.
        """
        while not self._has_shaken_hands():
            await self._send_own_words()
            data = await self.below.receive_some(_READ_BYTES)
            if not data:
                raise trio.BrokenResourceError("the connection ended within the handshake")
            self._incoming.write(data)
        await self._send_own_words()

    def _has_shaken_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise trio.BrokenResourceError("the TLS handshake failed") from error
        return True

    async def _send_own_words(self) -> None:
        if words := self._outgoing.read():
            await self.below.send_all(words)

    # --- reading -------------------------------------------------------------------------

    def read_now(self, max_bytes: int) -> bytes | None:
        """See `voicecore.world.ByteStream`."""
        if not self._has_text:
            data = self.below.read_now(_READ_BYTES)
            if data is None:
                return None
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()
        return self._decrypted(max_bytes)

    @property
    def _has_text(self) -> bool:
        """Whether there may be text without asking below: OpenSSL takes half records into its own buffer."""
        return self._incoming.pending > 0 or self._tls.pending() > 0

    def _decrypted(self, max_bytes: int) -> bytes | None:
        text = self._read_record(max_bytes)
        while text and len(text) < max_bytes and self._has_text:
            more = self._read_record(max_bytes - len(text))
            if not more:  # the end is found again by the next read
                break
            text += more
        if self._outgoing.pending:
            with suppress(trio.BrokenResourceError):  # what came before the peer's end can still be read
                self._push()
        return text

    def _read_record(self, max_bytes: int) -> bytes | None:
        try:
            return self._tls.read(max_bytes)
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        except ssl.SSLError as error:
            raise trio.BrokenResourceError("TLS failed") from error

    async def wait_readable(self) -> None:
        """See `voicecore.world.ByteStream`."""
        if self._has_text:
            await trio.lowlevel.checkpoint()
        else:
            await self.below.wait_readable()

    # --- writing -------------------------------------------------------------------------

    def write_now(self, data: Buffer) -> int:
        """See `voicecore.world.ByteStream`."""
        if self._has_ended:
            raise trio.ClosedResourceError("our direction has ended")
        written = 0
        while self._push():
            written, self._owed = written + self._owed, 0
            if written >= len(data):
                break
            self._owed = self._encrypt(data[written : written + _RECORD_BYTES])
        return written

    def _encrypt(self, text: Buffer) -> int:
        try:
            return self._tls.write(text)
        except ssl.SSLError as error:  # a new handshake in mid-session too: nobody needs one, see tls_context
            raise trio.BrokenResourceError("TLS failed") from error

    def _push(self) -> bool:
        """Hand encrypted bytes below; return whether all of them went."""
        if self._outgoing.pending:
            self._unsent += self._outgoing.read()
        if self._unsent:
            self._unsent = self._unsent[self.below.write_now(self._unsent) :]
        return not self._unsent

    async def wait_writable(self) -> None:
        """See `voicecore.world.ByteStream`."""
        await self.below.wait_writable()

    # --- ends ----------------------------------------------------------------------------

    def end_now(self) -> None:
        """See `voicecore.world.ByteStream`; the peer sees the end when the stream is closed.

        TLS can end one direction, but OpenSSL as Python has it may then drop what is still to be read.
        """
        self._has_ended = True

    def close_now(self) -> None:
        """See `voicecore.world.ByteStream`."""
        self.below.close_now()

    def limit_unsent(self, max_bytes: int) -> None:
        """See `voicecore.world.ByteStream`."""
        self.below.limit_unsent(max_bytes)
