"""The host of all calls: takes them in, holds each, files what is left of it.

The host is the `Reception` that carriers speak to.  A call runs in the task of
its media stream's connection; what outlives it (its record, its recording)
belongs to the host's own nursery.

Rule 1: one call's failure never reaches another: the boundary in `Host.hold` is
the one wide catch around a call; the cause is reported once, with its traceback.
Rule 2: an observer that raises is logged and changes nothing.
Rule 3: leaving the host's block cancels what waits, and files what is over, bounded.

Used by assembly.py; embedding programs get it through `voicecore.open_engine`.
"""

from __future__ import annotations

import enum
import functools
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import trio

from voicecore.audio.recording import Recording
from voicecore.engine.alarm import Alarm
from voicecore.engine.book import CallBook, CallEntry, CallPhase
from voicecore.engine.call import Call, Ending
from voicecore.engine.report import call_report
from voicecore.engine.run import run_call
from voicecore.engine.settings import Agent, HostSettings
from voicecore.errors import first_cause, printable
from voicecore.facts import CallBegan, CallEnded, CallReport, EndCause, Fact, Observer, ProblemSeen
from voicecore.nurseries import open_service_nursery
from voicecore.ports import Brief, CallStore, Leg, MediaPass, Provider, RingingCall, StatusReport
from voicecore.world import World

log = logging.getLogger("voicecore.engine")

_RECORD_EVERY_S = 0.5  #: a crash costs at most so much of a recording


class Admission(enum.Enum):
    """Whether new calls are taken."""

    OPEN = "open"
    CLOSED = "closed"  #: running calls go on
    CLOSING = "closing"  #: and nobody waits for a carrier's last word any more


@attrs.frozen(kw_only=True)
class HostParts:
    """What a host puts together for each call."""

    provider: Provider
    agent: Agent
    store: CallStore | None = None
    """None: reports are told, and kept nowhere."""
    records_audio: bool = False
    observers: Sequence[Observer] = ()


@attrs.frozen(kw_only=True)
class HostStatistics:
    """How many calls stand where."""

    ringing: int
    live: int
    unfiled: int
    filed: int


class Host:
    """All calls of one engine. Made by `open_host`."""

    def __init__(
        self,
        nursery: trio.Nursery,
        world: World,
        parts: HostParts,
        settings: HostSettings,
    ) -> None:
        self.filed = 0
        self._nursery = nursery
        self._world = world
        self._parts = parts
        self._settings = settings
        self._book = CallBook(settings.max_calls, settings.token_s)
        self._alarm = Alarm()
        self._admission = Admission.OPEN
        self._changed = trio.Event()

    # --- Reception -----------------------------------------------------------

    def announce(self, ringing: RingingCall) -> str | None:
        """See `voicecore.ports.Reception`."""
        if self._admission is not Admission.OPEN:
            return None
        entry = self._book.announce(ringing, self._new_call, self._world.now())
        self._alarm.bring_forward(self._book.deadline())
        return entry.token if entry else None

    def admits(self, token: str) -> bool:
        """See `voicecore.ports.Reception`."""
        return self._book.find(token, self._world.now()) is not None

    def claim(self, token: str) -> MediaPass | None:
        """See `voicecore.ports.Reception`."""
        entry = self._book.claim(token, self._world.now())
        return _Pass(self, entry) if entry else None

    def status(self, report: StatusReport) -> None:
        """See `voicecore.ports.Reception`."""
        entry = self._book.status(report)
        if entry is None or not report.status.is_terminal:
            return
        if entry.call is not None:
            entry.call.end_soon(EndCause.CALLER_HUNG_UP)
        elif entry.phase is CallPhase.RINGING:
            self.close(entry, EndCause.CALLER_HUNG_UP, f"the carrier reported {report.word} before any media")

    # --- what embedding programs ask ------------------------------------------

    def statistics(self) -> HostStatistics:
        """Return how many calls stand where."""
        phases = self._book.phases()
        return HostStatistics(
            ringing=phases[CallPhase.RINGING],
            live=phases[CallPhase.LIVE],
            unfiled=phases[CallPhase.OVER],
            filed=self.filed,
        )

    @property
    def is_admitting(self) -> bool:
        """Whether new calls are taken."""
        return self._admission is Admission.OPEN

    def stop_admitting(self) -> None:
        """Take no more calls; those that ring or talk go on."""
        if self._admission is Admission.OPEN:
            self._admission = Admission.CLOSED

    async def wait_idle(self) -> None:
        """Return once no call rings or talks and every record is filed."""
        while self._book.entries():
            await self._changed.wait()

    # --- holding and closing ---------------------------------------------------

    async def hold(self, entry: CallEntry, leg: Leg) -> None:
        """Run one call; whatever becomes of it, it is closed with one cause."""
        call = self._new_call_on(entry, leg)
        brief = Brief(instructions=self._parts.agent.instructions, audio_format=call.leg_format)
        try:
            await run_call(call, leg, self._parts.provider, brief, self._world)
        except Exception as failure:
            log.exception("call %s failed", entry.call_id)
            call.end(EndCause.FAILED, type(first_cause(failure)).__name__)
        finally:
            call.end(EndCause.SHUT_DOWN)  # nothing, where the call has ended by itself
            self.close(entry, EndCause.SHUT_DOWN)

    def close(self, entry: CallEntry, cause: EndCause, detail: str = "") -> None:
        """Nothing of this call runs any more: file it. The call's own ending, where there was a call, stands."""
        own = entry.call.ending if entry.call else None
        self._book.over(entry)
        self._nursery.start_soon(self._file, entry, own or Ending(cause, detail, self._world.now()))

    async def watch(self) -> None:
        """Close calls whose media stream did not come in time."""
        while True:
            await self._alarm.wait_until(self._book.deadline())
            for entry in self._book.expired(self._world.now()):
                self.close(entry, EndCause.MEDIA_NEVER_CAME)

    def shut_down(self) -> None:
        """Close what rings, and stop waiting for anything that only the carrier could still say."""
        self._admission = Admission.CLOSING
        for entry in self._book.entries():
            entry.final_status.set()
            if entry.phase is CallPhase.RINGING:
                self.close(entry, EndCause.SHUT_DOWN)

    # --- inside -----------------------------------------------------------------

    def _new_call(self) -> tuple[str, str, str]:
        started_at = self._world.wall_clock().isoformat(timespec="milliseconds")
        return self._world.new_id("call"), self._world.new_token(), started_at

    def _new_call_on(self, entry: CallEntry, leg: Leg) -> Call:
        recording = Recording(leg.started.audio_format, self._world.now()) if self._parts.records_audio else None
        tell = functools.partial(self._tell, entry.call_id)
        call = Call(self._world, leg, self._parts.agent, self._settings.call, tell=tell, recording=recording)
        entry.call = call
        tell(CallBegan(0.0, entry.call_id, entry.ringing.caller, entry.ringing.callee))
        if recording is not None and self._parts.store is not None:
            self._nursery.start_soon(self._record, self._parts.store, entry.call_id, call, recording)
        return call

    async def _file(self, entry: CallEntry, ending: Ending) -> None:
        """Wait (bounded) for the carrier's last word, then keep and tell the report."""
        with trio.CancelScope(shield=True):
            if entry.call is not None and self._admission is not Admission.CLOSING:
                with trio.move_on_after(self._settings.status_wait_s):
                    await entry.final_status.wait()
            report = call_report(entry, ending)
            with trio.move_on_after(self._settings.closing_s):
                await self._save(report)
        self._book.remove(entry)
        self.filed += 1
        log.info("call %s ended: %s, %.1f s", report.call_id, report.end_cause.value, report.duration_s)
        self._tell(entry.call_id, CallEnded(report.duration_s, report))
        self._changed.set()
        self._changed = trio.Event()

    async def _save(self, report: CallReport) -> None:
        if self._parts.store is None:
            return
        try:
            await self._parts.store.save(report)
        except OSError as error:
            log.error("call %s: its record could not be kept: %s", report.call_id, error.strerror)  # noqa: TRY400

    async def _record(self, store: CallStore, call_id: str, call: Call, recording: Recording) -> None:
        """Write the recording beside the call, a piece at a time, to its end."""
        with trio.CancelScope(shield=True) as scope:
            try:
                async with store.recorder(call_id) as recorder:
                    while call.ending is None:
                        with trio.move_on_after(_RECORD_EVERY_S):
                            await call.over.wait()
                        await recorder.write(recording.take(self._world.now()))
                    scope.deadline = self._world.now() + self._settings.closing_s
            except OSError as error:
                log.error("call %s: its recording stopped: %s", call_id, error.strerror)  # noqa: TRY400

    def _tell(self, call_id: str, fact: Fact) -> None:
        if isinstance(fact, ProblemSeen):
            log.warning("call %s: %s: %s", call_id, printable(fact.code), printable(fact.message))
        for observer in self._parts.observers:
            try:
                observer(call_id, fact)
            except Exception:
                log.exception("an observer failed on %s of call %s", type(fact).__name__, call_id)


class _Pass:
    """A claimed media token."""

    def __init__(self, host: Host, entry: CallEntry) -> None:
        self._host = host
        self._entry = entry

    @property
    def carrier_call_id(self) -> str:
        return self._entry.ringing.carrier_call_id

    async def hold_call(self, leg: Leg) -> None:
        await self._host.hold(self._entry, leg)

    def media_never_came(self, detail: str) -> None:
        self._host.close(self._entry, EndCause.MEDIA_NEVER_CAME, detail)


@asynccontextmanager
async def open_host(world: World, parts: HostParts, settings: HostSettings | None = None) -> AsyncIterator[Host]:
    """Run a host. On leaving, ringing calls are closed and all records filed, within ``closing_s``.

    The calls themselves run in the tasks that call `MediaPass.hold_call`; end those first.
    """
    async with open_service_nursery() as nursery:
        host = Host(nursery, world, parts, settings or HostSettings())
        nursery.start_soon(host.watch)
        try:
            yield host
        finally:
            host.shut_down()  # what is left is filed in the shield of its own task, bounded
