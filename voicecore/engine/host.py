"""The host of all calls: takes them in, places them, files what is left of each.

The host is the `Reception` that carriers speak to.  An incoming call lives in
the host's own nursery from its webhook on; a call that a program places lives in
the block of `dial`.  What outlives a call (its record, its recording, a request
to the carrier that must not be broken off) is the host's.

Rule 1: an observer that raises is logged and changes nothing; a task that raises
ends its call, never the host (boundary.py).
Rule 2: a webhook is answered without waiting for anything.
Rule 3: leaving the host's block cancels what waits, and files what is over, bounded;
a record that the disk does not take then is put into the log.

Used by assembly.py; embedding programs get it through `voicecore.open_engine`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import trio

from voicecore.audio.formats import PCMU_8K
from voicecore.audio.recording import Recording
from voicecore.engine.agent import Agent
from voicecore.engine.book import CallBook
from voicecore.engine.boundary import contained
from voicecore.engine.call import Call
from voicecore.engine.entry import CallEntry, CallPhase
from voicecore.engine.filing import Filing, record_audio
from voicecore.engine.host_parts import Admission, HostParts, HostStatistics
from voicecore.engine.keeper import ParkedSessions
from voicecore.engine.life import LifeParts, live, machine_message, place
from voicecore.engine.placed import PlacedCall
from voicecore.engine.records import Records, open_records, trouble_of
from voicecore.engine.ringing import OUTCOMES, Ringing, RingPhase
from voicecore.engine.settings import DialOptions, HostSettings, OnMachine, checked_number
from voicecore.engine.spoken import SpokenLines
from voicecore.errors import ConfigError, EngineBusy, printable
from voicecore.facts import (
    Answered,
    CallEnded,
    CallReport,
    Dialling,
    EndCause,
    Fact,
    MachineHeard,
    ProblemSeen,
    SessionReady,
)
from voicecore.facts import Ringing as RingingFact
from voicecore.nurseries import open_service_nursery
from voicecore.ports import (
    CallStore,
    DialOrder,
    Leg,
    MachineReport,
    MediaPass,
    NotTaken,
    RingingCall,
    StatusReport,
)
from voicecore.statuses import CarrierStatus
from voicecore.world import World

log = logging.getLogger("voicecore.engine")


class Host:
    """All calls of one engine. Made by `open_host`."""

    def __init__(
        self,
        nursery: trio.Nursery,
        world: World,
        parts: HostParts,
        settings: HostSettings,
        records: Records | None = None,
    ) -> None:
        self._nursery = nursery
        self._world = world
        self._parts = parts
        self._settings = settings
        self._book = CallBook(settings.max_calls)
        self._parked = ParkedSessions(nursery, world, settings.parking)
        self._placed: dict[str, PlacedCall] = {}  # by our id; bounded by the book
        self._admission = Admission.OPEN
        self._changed = trio.Event()
        self._leg_format = PCMU_8K  # of the last leg; the next one is likely to be alike
        self._told = 0  # calls whose report was told
        self._records = records
        self._life = LifeParts(
            world=world,
            provider=parts.provider,
            control=parts.control,
            parked=self._parked,
            settings=settings,
            tell=self._tell,
            record=self._start_recording if parts.records_audio and parts.store is not None else None,
            expected_format=lambda: self._leg_format,
            keep_lines=self._start_lines if parts.store is not None else None,
        )
        self._filing = Filing(self._life, records, lambda: self._admission is not Admission.CLOSING)
        if parts.store is not None:
            nursery.start_soon(contained, "looking for half-written files", partial(_tidy, parts.store))

    # --- Reception -----------------------------------------------------------

    def announce(self, ringing: RingingCall) -> str | NotTaken:
        """See `voicecore.ports.Reception`."""
        now = self._world.now()
        if self._book.is_over(ringing.carrier_call_id, now):
            return NotTaken.OVER
        if (known := self._book.find(ringing.carrier_call_id)) is not None:
            return known.token
        entry = self._new_entry(
            direction="inbound",
            caller=ringing.caller,
            callee=ringing.callee,
            agent=self._parts.agent,
            ringing=Ringing.incoming(now, self._settings.token_s),
            carrier_call_ids=[ringing.carrier_call_id],
        )
        if self._admission is not Admission.OPEN or not self._book.enter(entry):
            return NotTaken.BUSY
        entry.placed.set()
        self._nursery.start_soon(self._live, entry)
        return entry.token

    def admits(self, token: str) -> bool:
        """See `voicecore.ports.Reception`."""
        return self._book.admits(token, self._world.now())

    def claim(self, token: str) -> MediaPass | None:
        """See `voicecore.ports.Reception`."""
        entry = self._book.claim(token, self._world.now())
        if entry is None:
            return None
        _expect_pickup(entry)
        return _Pass(self, entry)

    def status(self, report: StatusReport) -> None:
        """See `voicecore.ports.Reception`."""
        now = self._world.now()
        entry = self._book.status(report, now)
        if entry is None:
            return
        if not report.status.is_terminal:
            self._progress(entry, entry.ringing.status(report.status, now), now)
        elif entry.call is not None:
            entry.call.end_soon(EndCause.CALLER_HUNG_UP)
        elif entry.options is not None:
            entry.end(OUTCOMES[report.status], _before_media(report), now)
        else:
            entry.end(EndCause.CALLER_HUNG_UP, _before_media(report), now)

    def machine(self, report: MachineReport) -> None:
        """See `voicecore.ports.Reception`."""
        entry = self._book.find(report.carrier_call_id, report.call_id)
        if entry is None or entry.options is None or entry.answered_by is not None:
            return  # the first verdict stands: a later one would change course twice
        now = self._world.now()
        self._book.alias(entry, report.carrier_call_id)
        entry.answered_by, entry.answered_by_word = report.answered_by, report.word
        began_at = entry.call.began_at if entry.call is not None else entry.announced_at
        self._tell(entry, MachineHeard(now - began_at, report.word))
        message = machine_message(entry)
        if not report.answered_by.is_machine or entry.options.on_machine is OnMachine.GO_ON:
            return
        if message is None:
            entry.end(EndCause.MACHINE_ANSWERED, f"the carrier heard: {report.word}", now)
        elif entry.call is not None:
            entry.call.answered_by_machine(message)

    def connect(self, report: MachineReport) -> str | None:
        """See `voicecore.ports.Reception`."""
        self.machine(report)
        entry = self._book.find(report.carrier_call_id, report.call_id)
        if entry is None or entry.options is None or entry.ending is not None or entry.phase is CallPhase.OVER:
            return None
        self._book.alias(entry, report.carrier_call_id)
        now = self._world.now()
        self._progress(entry, entry.ringing.reach(RingPhase.ANSWERED, now), now)
        return entry.token

    # --- placing calls ----------------------------------------------------------

    @asynccontextmanager
    async def dial(
        self, number: str, *, agent: Agent | None = None, options: DialOptions | None = None
    ) -> AsyncIterator[PlacedCall]:
        """Place a call; leaving the block ends it, and waits until its report is there.

        The block runs from the first moment on: before it rings.  Cancelled, it ends
        the call without waiting for the report.

        Args:
            number: Who is called, in E.164 form.
            agent: Who speaks on our side; None: the engine's own.
            options: How it is placed.

        Raises (on entering):
            ConfigError: The number is none, or no carrier is there to place calls.
            EngineBusy: The engine takes no more calls.
        """
        dialler, options = self._parts.dialler, options or DialOptions()
        if dialler is None:
            raise ConfigError("carriers.twilio.phone_number", "missing; calls are placed from it")
        entry = self._new_entry(
            direction="outbound",
            caller=dialler.number,
            callee=checked_number(number),
            agent=agent or self._parts.agent,
            ringing=Ringing.placed_by_us(self._world.now(), options),
            options=options,
        )
        order = DialOrder(
            call_id=entry.call_id,
            callee=entry.callee,
            token=entry.token,
            ring_timeout_s=options.ring_timeout_s,
            detection=options.detection,
            waits_for_beep=options.on_machine is OnMachine.LEAVE_MESSAGE,
        )
        call = PlacedCall(entry, self._world.now)
        if self._admission is not Admission.OPEN or not self._book.enter(entry):
            raise EngineBusy("no more calls are taken: the engine is full, or it is closing")
        self._placed[entry.call_id] = call
        self._tell(entry, Dialling(0.0, entry.call_id, entry.callee))
        placing = partial(place, entry, dialler, order, self._life, self._book.alias)
        self._nursery.start_soon(contained, f"call {entry.call_id}: placing it", placing, partial(self._failed, entry))
        async with open_service_nursery() as nursery:
            nursery.start_soon(self._live, entry)
            try:
                yield call
            finally:
                entry.end(EndCause.HUNG_UP, "", self._world.now())
            await entry.filed.wait()

    # --- what embedding programs ask ------------------------------------------

    def statistics(self) -> HostStatistics:
        """Return how many calls and sessions stand where."""
        phases = self._book.phases()
        return HostStatistics(
            ringing=phases[CallPhase.RINGING],
            live=phases[CallPhase.LIVE],
            unfiled=phases[CallPhase.OVER],
            filed=self._told if self._records is None else self._records.book.completed,
            parked=self._parked.lot.statistics(),
            unwritten=len(self._records.book.unwritten()) if self._records is not None else 0,
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
        """Return once no call rings or talks, and every record is written, or writing it fails: then it waits."""
        await self._wait_until_none(lambda _: True)
        if self._records is not None:
            await self._records.idle()

    async def drain(self) -> None:
        """Take no more calls; return once every one is over and its record filed.

        Nothing is waited for that may never come: an incoming call without media is ended
        after ``drain_media_s``, and once no call runs any more, records wait for a carrier's
        last word for ``drain_status_s`` at most.
        """
        self.stop_admitting()
        with trio.move_on_after(self._settings.drain_media_s):
            await self._wait_until_none(_awaits_media)
        for entry in filter(_awaits_media, self._book.entries()):
            entry.end(EndCause.SHUT_DOWN, "its media had not come when the engine was stopped", self._world.now())
        await self._wait_until_none(lambda entry: entry.phase is not CallPhase.OVER)
        with trio.move_on_after(self._settings.drain_status_s):
            await self.wait_idle()
        for entry in self._book.entries():
            entry.final_status.set()
        await self.wait_idle()

    async def _wait_until_none(self, fits: Callable[[CallEntry], bool]) -> None:
        while any(map(fits, self._book.entries())):
            await self._changed.wait()

    def _tell_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # --- the media ----------------------------------------------------------------

    def accepts(self, entry: CallEntry, carrier_call_id: str) -> bool:
        """Whether a stream under this carrier id may be the call's: a call that we placed may have changed its id."""
        if entry.options is None:
            return carrier_call_id in entry.carrier_call_ids
        return self._book.alias(entry, carrier_call_id)

    async def hold(self, entry: CallEntry, leg: Leg) -> bool:
        """Give the call its media; return once nothing uses them any more: whether they kept their protocol."""
        if entry.options is not None and entry.ringing.phase is not RingPhase.ANSWERED:  # the media tell it first
            self._tell(entry, Answered(self._world.now() - entry.announced_at))
        self._leg_format = leg.started.audio_format
        entry.bring(leg)
        self._tell_change()
        try:
            await entry.media_over.wait()
        finally:
            entry.end(EndCause.SHUT_DOWN, "", self._world.now())  # nothing, where the call has ended
            with trio.move_on_after(self._settings.closing_s, shield=True):
                await entry.media_over.wait()
        return entry.call is None or entry.call.ending is None or entry.call.ending.cause is not EndCause.LEG_MISBEHAVED

    def media_never_came(self, entry: CallEntry, detail: str) -> None:
        """The stream ended before it began."""
        log.warning("call %s: its media never began: %s", entry.call_id, printable(detail))
        entry.end(EndCause.MEDIA_NEVER_CAME, detail, self._world.now())

    # --- the end --------------------------------------------------------------------

    def shut_down(self) -> None:
        """End what rings, and stop waiting for anything that only the carrier could still say."""
        self._admission = Admission.CLOSING
        self._parked.shut_down()
        now = self._world.now()
        for entry in self._book.entries():
            entry.final_status.set()
            entry.placing.deadline = now + self._settings.closing_s
            if entry.phase is CallPhase.RINGING:
                entry.end(EndCause.SHUT_DOWN, "", now)

    # --- inside -----------------------------------------------------------------

    def _new_entry(self, **known: Any) -> CallEntry:
        return CallEntry(
            call_id=self._world.new_id("call"),
            started_at=self._world.wall_clock().isoformat(timespec="milliseconds"),
            announced_at=self._world.now(),
            token=self._world.new_token(),
            **known,
        )

    async def _live(self, entry: CallEntry) -> None:
        try:
            await contained(f"call {entry.call_id}", partial(live, entry, self._life), partial(self._failed, entry))
        finally:
            entry.media_over.set()
            self._book.over(entry)
            self._tell_change()
            if self._admission is Admission.CLOSING:  # the host's nursery may be gone: file here, nothing is waited for
                await self._file(entry)
            else:
                self._nursery.start_soon(self._file, entry)

    async def _file(self, entry: CallEntry) -> None:
        filing = partial(self._filing.file, entry, partial(self._over, entry))
        await contained(f"call {entry.call_id}: filing it", filing)
        self._forget(entry)
        entry.filed.set()

    def _over(self, entry: CallEntry, report: CallReport) -> None:
        """The last word on a call is said."""
        self._told += 1
        self._tell(entry, CallEnded(report.duration_s, report))
        self._forget(entry)

    def _forget(self, entry: CallEntry) -> None:
        self._book.remove(entry, self._world.now())
        self._placed.pop(entry.call_id, None)
        self._tell_change()

    def _failed(self, entry: CallEntry, failure: BaseException) -> None:
        entry.end(EndCause.FAILED, type(failure).__name__, self._world.now())

    def _start_recording(self, entry: CallEntry, call: Call, recording: Recording) -> None:
        if self._parts.store is not None:
            writing = partial(record_audio, self._parts.store, entry.call_id, call, recording, self._life)
            self._nursery.start_soon(contained, f"call {entry.call_id}: its recording", writing)

    def _start_lines(self, entry: CallEntry, call: Call) -> None:
        if self._parts.store is not None:
            entry.spoken = SpokenLines()
            writing = partial(entry.spoken.write, self._parts.store, entry.call_id, call)
            self._nursery.start_soon(contained, f"call {entry.call_id}: writing what is said", writing)

    def _progress(self, entry: CallEntry, is_news: bool, now: float) -> None:
        """Tell what the carrier said about a call that we placed, and wait accordingly."""
        if not is_news or entry.phase is not CallPhase.RINGING:
            return
        entry.wake()
        if entry.parked is not None:
            entry.parked.extend(entry.ringing.deadline)
        if entry.ringing.phase is RingPhase.ANSWERED:
            _expect_pickup(entry)
        at_s = now - entry.announced_at
        self._tell(entry, Answered(at_s) if entry.ringing.phase is RingPhase.ANSWERED else RingingFact(at_s))

    def _tell(self, entry: CallEntry, fact: Fact) -> None:
        if isinstance(fact, SessionReady):
            log.info("call %s: session ready %.1f ms after pick-up (%s)", entry.call_id, fact.at_s * 1000, fact.source)
        if isinstance(fact, ProblemSeen):
            log.warning("call %s: %s: %s", entry.call_id, printable(fact.code), printable(fact.message))
        if entry.spoken is not None:
            entry.spoken.take(fact)
        if (placed := self._placed.get(entry.call_id)) is not None:
            placed.tell(fact)
        for observer in self._parts.observers:
            try:
                observer(entry.call_id, fact)
            except Exception:
                log.exception("an observer failed on %s of call %s", type(fact).__name__, entry.call_id)


def _awaits_media(entry: CallEntry) -> bool:
    """Whether an incoming call is announced, and no more."""
    return entry.options is None and entry.phase is CallPhase.RINGING


def _expect_pickup(entry: CallEntry) -> None:
    if entry.parked is not None:
        entry.parked.expect_pickup()


def _before_media(report: StatusReport) -> str:
    """Return what a terminal status before any media says, with the carrier's reason."""
    lasted = f" after {report.duration_s} s" if report.duration_s else ""
    reason = f" ({report.failure})" if report.failure is not None else ""
    nothing_came = ", before any media" if report.status is CarrierStatus.COMPLETED else ""
    return f"the carrier reported {report.word}{lasted}{reason}{nothing_came}"


class _Pass:
    """A claimed media token."""

    def __init__(self, host: Host, entry: CallEntry) -> None:
        self._host = host
        self._entry = entry

    def accepts(self, carrier_call_id: str) -> bool:
        return self._host.accepts(self._entry, carrier_call_id)

    async def hold_call(self, leg: Leg) -> bool:
        return await self._host.hold(self._entry, leg)

    def media_never_came(self, detail: str) -> None:
        self._host.media_never_came(self._entry, detail)


@asynccontextmanager
async def open_host(world: World, parts: HostParts, settings: HostSettings | None = None) -> AsyncIterator[Host]:
    """Run a host. On leaving, ringing calls are ended and all records filed, within ``closing_s``.

    Live calls hold on to the media that `MediaPass.hold_call` brought; end those first.
    """
    settings = settings or HostSettings()
    async with AsyncExitStack() as stack:
        records = None
        if parts.store is not None:
            opening = open_records(parts.store, world, settings.records, settings.closing_s)
            records = await stack.enter_async_context(opening)  # outlives the calls
        nursery = await stack.enter_async_context(open_service_nursery())
        host = Host(nursery, world, parts, settings, records)
        try:
            yield host
        finally:
            host.shut_down()  # what is left is filed in the shield of its own task, bounded


async def _tidy(store: CallStore) -> None:
    try:
        await store.tidy()
    except OSError as trouble:
        log.warning("could not look for half-written files: %s", printable(trouble_of(trouble), 500))
