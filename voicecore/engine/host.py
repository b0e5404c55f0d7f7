"""The host of all calls: takes them in, places them, files what is left of each.

The host is the `CallHost` that carriers speak to.  An incoming call lives in
the host's own nursery from its webhook on; a call that a program places lives in
the block of `dial`.  What outlives a call (its record, its recording, a request
to the carrier that must not be broken off) is the host's.

Rule 1: an observer that raises is logged and changes nothing; a task that raises
ends its call, never the host (boundary.py).
Rule 2: a webhook is answered without waiting for anything.
Rule 3: leaving the host's block cancels what waits, and files what is over, bounded;
a record that the disk does not take then is put into the log.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import trio

from voicecore.audio.formats import PCMU_8K, AudioFormat
from voicecore.audio.recording import Recording
from voicecore.engine.agent import Agent
from voicecore.engine.boundary import contained
from voicecore.engine.call_at_carrier import CallAtCarrier
from voicecore.engine.call_handle import CallHandle
from voicecore.engine.call_origin import CARRIER_MOVES, Inbound, Outbound, before_media
from voicecore.engine.call_registry import CallRegistry
from voicecore.engine.call_state import CallMove, CallState
from voicecore.engine.carrier_side import ForCarrier, HostedPass, dialler_of
from voicecore.engine.choosing import agent_problem
from voicecore.engine.ending import Ending
from voicecore.engine.host_parts import Admission, HostParts, HostStatistics
from voicecore.engine.hosted_call import HostedCall
from voicecore.engine.lifecycle import LifecycleParts, place_call, run_hosted_call
from voicecore.engine.live_call import LiveCall
from voicecore.engine.live_transcript import LiveTranscript
from voicecore.engine.parking.parked_session import ParkedSessions
from voicecore.engine.records import Records, open_records, trouble_of
from voicecore.engine.settings import DialOptions, HostSettings, OnVoicemail, checked_number
from voicecore.engine.wrap_up import WrapUp, record_audio
from voicecore.errors import EngineBusy, printable
from voicecore.facts import (
    AmdDecided,
    Answered,
    CallEnded,
    CallReport,
    Dialling,
    EndCause,
    Fact,
    ProblemSeen,
    Ringing,
    SessionReady,
)
from voicecore.nurseries import open_service_nursery
from voicecore.ports import (
    AmdResult,
    CallHost,
    CallStore,
    DialOrder,
    Leg,
    MediaPass,
    NotTaken,
    OpenCarrier,
    RingingCall,
    StatusReport,
)
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
        self._registry = CallRegistry(settings.max_calls)
        self._parked = ParkedSessions(nursery, world, settings.parking)
        self._handles: dict[str, CallHandle] = {}  # by our id; of dialled calls, and where a program has asked
        self._admission = Admission.OPEN
        self._changed = trio.Event()
        self._leg_formats: dict[str, AudioFormat] = {}  # of each carrier's last leg: the next one is likely to be alike
        self._told = 0  # calls whose report was told
        self._records = records
        self._life = LifecycleParts(
            world=world,
            provider_of=parts.provider_of,
            parked=self._parked,
            settings=settings,
            notify=self._notify,
            learn_id=self._registry.alias,
            record=self._start_recording if parts.records_audio and parts.store is not None else None,
            expected_format=self._expected_format,
            keep_lines=self._start_lines if parts.store is not None else None,
            choose_agent=self._choose_agent if parts.choose_agent is not None else None,
        )
        self._filing = WrapUp(self._life, records, lambda: self._admission is not Admission.CLOSING)
        if parts.store is not None:
            nursery.start_soon(contained, "looking for half-written files", partial(_tidy, parts.store))

    # --- for carriers ----------------------------------------------------------

    def for_carrier(self, carrier: OpenCarrier) -> CallHost:
        """Return what a carrier reports to: this host, with whatever comes in known as the carrier's."""
        return ForCarrier(self, carrier)

    def incoming(self, ringing: RingingCall, carrier: OpenCarrier | None = None) -> str | NotTaken:
        """See `voicecore.ports.CallHost`."""
        now = self._world.now()
        if self._registry.is_over(ringing.carrier_call_id, now):
            return NotTaken.OVER
        if (known := self._registry.find(ringing.carrier_call_id)) is not None:
            return known.token
        hosted = self._new_call(
            origin=Inbound(media_s=self._settings.token_s),
            caller=ringing.caller,
            callee=ringing.callee,
            agent=self._parts.agent,
            at_carrier=CallAtCarrier(ids=[ringing.carrier_call_id]),
            carrier=carrier,
        )
        if self._admission is not Admission.OPEN or not self._registry.enter(hosted):
            return NotTaken.BUSY
        self._nursery.start_soon(self._run, hosted)
        return hosted.token

    def token_valid(self, token: str) -> bool:
        """See `voicecore.ports.CallHost`."""
        return self._registry.token_valid(token, self._world.now())

    def take_token(self, token: str) -> MediaPass | None:
        """See `voicecore.ports.CallHost`."""
        hosted = self._registry.take_token(token, self._world.now())
        if hosted is None:
            return None
        _expect_pickup(hosted)
        return HostedPass(self, hosted)

    def status(self, report: StatusReport) -> None:
        """See `voicecore.ports.CallHost`."""
        now = self._world.now()
        hosted = self._registry.status(report, now)
        if hosted is None:
            return
        if not report.status.is_terminal:
            self._advance(hosted, CARRIER_MOVES[report.status], now)
        elif hosted.call is not None:
            hosted.call.end_soon(EndCause.REMOTE_HUNG_UP)
        else:
            hosted.end(hosted.origin.outcome(report.status), before_media(report), now)

    def amd_result(self, report: AmdResult) -> None:
        """See `voicecore.ports.CallHost`."""
        hosted = self._registry.find(report.carrier_call_id, report.call_id)
        if hosted is None or not isinstance(outbound := hosted.origin, Outbound) or outbound.amd is not None:
            return  # the first result stands: a later one would change course twice
        now = self._world.now()
        self._registry.alias(hosted, report.carrier_call_id)
        outbound.amd = report
        began_at = hosted.call.began_at if hosted.call is not None else hosted.announced_at
        self._notify(hosted, AmdDecided(now - began_at, report.word))
        if not outbound.reached_machine:
            return
        if (message := outbound.voicemail_message) is None:
            hosted.end(EndCause.MACHINE_ANSWERED, f"the carrier heard: {report.word}", now)
        elif hosted.call is not None:
            hosted.call.reached_voicemail(message)

    def answered(self, report: AmdResult) -> str | None:
        """See `voicecore.ports.CallHost`."""
        self.amd_result(report)
        hosted = self._registry.find(report.carrier_call_id, report.call_id)
        if hosted is None or hosted.direction != "outbound" or hosted.has_ended:
            return None
        self._registry.alias(hosted, report.carrier_call_id)
        self._advance(hosted, CallMove.ANSWERED, self._world.now())
        return hosted.token

    # --- placing calls ----------------------------------------------------------

    @asynccontextmanager
    async def dial(
        self,
        number: str,
        *,
        agent: Agent | None = None,
        options: DialOptions | None = None,
        carrier: str | None = None,
    ) -> AsyncIterator[CallHandle]:
        """Place a call; leaving the block ends it, and waits until its report is there.

        The block runs from the first moment on: before it rings.  Cancelled, it ends
        the call without waiting for the report.

        Args:
            number: Who is called, in E.164 form.
            agent: Who speaks on our side; None: the engine's own.
            options: How it is placed.
            carrier: The name of the carrier that places it; None: the first one that can.

        Raises (on entering):
            ConfigError: The number is not one, or there is no such carrier or provider.
            EngineBusy: The engine takes no more calls.
        """
        by, dialler = dialler_of(self._parts.carriers, carrier)
        options, agent = options or DialOptions(), agent or self._parts.agent
        self._parts.provider_of(agent)
        outbound = Outbound(options=options)
        hosted = self._new_call(
            origin=outbound,
            caller=dialler.number,
            callee=checked_number(number),
            agent=agent,
            carrier=by,
        )
        order = DialOrder(
            call_id=hosted.call_id,
            callee=hosted.callee,
            token=hosted.token,
            ring_timeout_s=options.ring_timeout_s,
            detection=options.detection,
            waits_for_beep=options.on_voicemail is OnVoicemail.LEAVE_MESSAGE,
        )
        call = CallHandle(hosted, self._world.now, keeps_facts=True)
        if self._admission is not Admission.OPEN or not self._registry.enter(hosted):
            raise EngineBusy("no more calls are taken: the engine is full, or it is closing")
        self._handles[hosted.call_id] = call
        self._notify(hosted, Dialling(0.0, hosted.call_id, hosted.callee))
        placing = partial(place_call, hosted, outbound, dialler, order, self._life)
        self._nursery.start_soon(
            contained, f"call {hosted.call_id}: placing it", placing, partial(self._failed, hosted)
        )
        async with open_service_nursery() as nursery:
            nursery.start_soon(self._run, hosted)
            try:
                yield call
            finally:
                hosted.end(EndCause.HUNG_UP, "", self._world.now())
            await hosted.until_filed()

    # --- what embedding programs ask ------------------------------------------

    def calls(self) -> list[CallHandle]:
        """Return a handle for each call that rings or talks, inbound and outbound alike, oldest first."""
        return [self._handle(each) for each in self._registry.hosted_calls() if each.runs]

    def find(self, call_id: str) -> CallHandle | None:
        """Return the handle of a call by our id of it or the carrier's; None where no such call rings or talks."""
        hosted = self._registry.find("", call_id) or self._registry.find(call_id)
        return None if hosted is None or not hosted.runs else self._handle(hosted)

    def _handle(self, hosted: HostedCall) -> CallHandle:
        if (known := self._handles.get(hosted.call_id)) is not None:
            return known
        return self._handles.setdefault(hosted.call_id, CallHandle(hosted, self._world.now))

    def statistics(self) -> HostStatistics:
        """Return how many calls and sessions stand where."""
        calls = self._registry.hosted_calls()
        return HostStatistics(
            ringing=sum(each.runs and not each.was_picked_up for each in calls),
            live=sum(each.runs and each.was_picked_up for each in calls),
            unfiled=sum(not each.runs for each in calls),
            filed=self._told if self._records is None else self._records.book.completed,
            parked=self._parked.pool.statistics(),
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
        for hosted in filter(_awaits_media, self._registry.hosted_calls()):
            hosted.end(EndCause.SHUT_DOWN, "its media had not come when the engine was stopped", self._world.now())
        await self._wait_until_none(lambda hosted: hosted.runs)
        with trio.move_on_after(self._settings.drain_status_s):
            await self.wait_idle()
        for hosted in self._registry.hosted_calls():
            hosted.at_carrier.last_word.set()
        await self.wait_idle()

    async def _wait_until_none(self, fits: Callable[[HostedCall], bool]) -> None:
        while any(map(fits, self._registry.hosted_calls())):
            await self._changed.wait()

    def _tell_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # --- the media ----------------------------------------------------------------

    def accepts(self, hosted: HostedCall, carrier_call_id: str) -> bool:
        """Whether a stream under this carrier id may be the call's: a call that we placed may have changed its id."""
        if hosted.direction == "inbound":
            return carrier_call_id in hosted.at_carrier.ids
        return self._registry.alias(hosted, carrier_call_id)

    async def run_media(self, hosted: HostedCall, leg: Leg) -> bool:
        """Give the call its media; return once nothing uses them any more: whether they kept their protocol."""
        self._advance(hosted, CallMove.ANSWERED, self._world.now())  # where the media come before the status
        if hosted.carrier is not None:
            self._leg_formats[hosted.carrier.name] = leg.started.audio_format
        hosted.media_came(leg)
        self._tell_change()
        try:
            await hosted.until_media_released()
        finally:
            hosted.end(EndCause.SHUT_DOWN, "", self._world.now())  # changes nothing where the call has ended
            with trio.move_on_after(self._settings.closing_s, shield=True):
                await hosted.until_media_released()
        return hosted.ending is None or hosted.ending.cause is not EndCause.LEG_MISBEHAVED

    def media_never_came(self, hosted: HostedCall, detail: str) -> None:
        """The stream ended before it began."""
        log.warning("call %s: its media never began: %s", hosted.call_id, printable(detail))
        hosted.end(EndCause.MEDIA_NEVER_CAME, detail, self._world.now())

    # --- the end --------------------------------------------------------------------

    def shut_down(self) -> None:
        """End what rings, and stop waiting for anything that only the carrier could still say."""
        self._admission = Admission.CLOSING
        self._parked.shut_down()
        now = self._world.now()
        for hosted in self._registry.hosted_calls():
            hosted.at_carrier.last_word.set()
            if isinstance(hosted.origin, Outbound):
                hosted.origin.request.deadline = now + self._settings.closing_s
            if not hosted.was_picked_up:
                hosted.end(EndCause.SHUT_DOWN, "", now)

    # --- inside -----------------------------------------------------------------

    def _new_call(self, **known: Any) -> HostedCall:
        return HostedCall(
            call_id=self._world.new_id("call"),
            started_at=self._world.wall_clock().isoformat(timespec="milliseconds"),
            announced_at=self._world.now(),
            token=self._world.new_token(),
            **known,
        )

    async def _run(self, hosted: HostedCall) -> None:
        running = partial(run_hosted_call, hosted, self._life)
        try:
            await contained(f"call {hosted.call_id}", running, partial(self._failed, hosted))
        finally:
            ending = self._registry.stop(hosted, self._world.now())
            self._tell_change()
            if self._admission is Admission.CLOSING:  # the host's nursery may be gone: file here, nothing is waited for
                await self._file(hosted, ending)
            else:
                self._nursery.start_soon(self._file, hosted, ending)

    async def _file(self, hosted: HostedCall, ending: Ending) -> None:
        filing = partial(self._filing.file, hosted, ending, partial(self._over, hosted))
        await contained(f"call {hosted.call_id}: filing it", filing)
        self._forget(hosted)
        hosted.file()

    def _over(self, hosted: HostedCall, report: CallReport) -> None:
        """The last word on a call is said."""
        self._told += 1
        self._notify(hosted, CallEnded(report.duration_s, report))
        self._forget(hosted)

    def _forget(self, hosted: HostedCall) -> None:
        self._registry.remove(hosted, self._world.now())
        self._handles.pop(hosted.call_id, None)
        self._tell_change()

    def _failed(self, hosted: HostedCall, failure: BaseException) -> None:
        hosted.end(EndCause.FAILED, type(failure).__name__, self._world.now())

    def _expected_format(self, hosted: HostedCall) -> AudioFormat:
        if hosted.carrier is None:
            return PCMU_8K
        return self._leg_formats.get(hosted.carrier.name, hosted.carrier.media_format)

    async def _choose_agent(self, hosted: HostedCall) -> None:
        problem = await agent_problem(self._handle(hosted), hosted, self._parts, self._settings.choose_agent_s)
        if problem:
            self._notify(hosted, ProblemSeen(self._world.now() - hosted.announced_at, "agent_not_chosen", problem))

    def _start_recording(self, hosted: HostedCall, call: LiveCall, recording: Recording) -> None:
        if self._parts.store is not None:
            writing = partial(record_audio, self._parts.store, hosted.call_id, call, recording, self._life)
            self._nursery.start_soon(contained, f"call {hosted.call_id}: its recording", writing)

    def _start_lines(self, hosted: HostedCall, call: LiveCall) -> None:
        if self._parts.store is not None:
            hosted.transcript = LiveTranscript()
            writing = partial(hosted.transcript.write, self._parts.store, hosted.call_id, call)
            self._nursery.start_soon(contained, f"call {hosted.call_id}: writing what is said", writing)

    def _advance(self, hosted: HostedCall, move: CallMove, now: float) -> None:
        """The carrier says that a call has got this far: where that is news, wait accordingly and notify."""
        if not hosted.advance(move, now):
            return
        if hosted.parked is not None:
            hosted.parked.extend(hosted.limit_at)
        at_s = now - hosted.announced_at
        if hosted.state is CallState.ANSWERED:
            _expect_pickup(hosted)
            self._notify(hosted, Answered(at_s))
        elif hosted.state is CallState.RINGING:
            self._notify(hosted, Ringing(at_s))

    def _notify(self, hosted: HostedCall, fact: Fact) -> None:
        if isinstance(fact, SessionReady):
            log.info("call %s: session ready %.1f ms after pick-up (%s)", hosted.call_id, fact.at_s * 1000, fact.source)
        if isinstance(fact, ProblemSeen):
            log.warning("call %s: %s: %s", hosted.call_id, printable(fact.code), printable(fact.message))
        if hosted.transcript is not None:
            hosted.transcript.take(fact)
        if (handle := self._handles.get(hosted.call_id)) is not None:
            handle.notify(fact)
        for observer in self._parts.observers:
            try:
                observer(hosted.call_id, fact)
            except Exception:
                log.exception("an observer failed on %s of call %s", type(fact).__name__, hosted.call_id)


def _awaits_media(hosted: HostedCall) -> bool:
    """Whether an incoming call runs, and no stream of it has come."""
    return hosted.direction == "inbound" and hosted.runs and not hosted.was_picked_up


def _expect_pickup(hosted: HostedCall) -> None:
    if hosted.parked is not None:
        hosted.parked.expect_pickup()


@asynccontextmanager
async def open_host(world: World, parts: HostParts, settings: HostSettings | None = None) -> AsyncIterator[Host]:
    """Run a host. On leaving, ringing calls are ended and all records filed, within ``closing_s``.

    Live calls hold on to the media that `MediaPass.run_call` brought; end those first.
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
