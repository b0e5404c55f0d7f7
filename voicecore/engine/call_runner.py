"""Runs the calls of one host in its nursery, and files each of them once it has ended.

What outlives a call is started here too: writing its record and its recording, and a
request to the carrier that must not be broken off.

Rule: a task that raises ends its call, never the host (boundary.py).
"""

from __future__ import annotations

from functools import partial

import attrs
import trio

from voicecore.audio.formats import PCMU_8K, AudioFormat
from voicecore.audio.recording import Recording
from voicecore.engine.admission import Admission
from voicecore.engine.boundary import contained
from voicecore.engine.call_origin import Outbound
from voicecore.engine.call_registry import CallRegistry
from voicecore.engine.choosing import agent_problem
from voicecore.engine.ending import Ending
from voicecore.engine.fact_dispatcher import FactDispatcher
from voicecore.engine.host_ports import HostPorts
from voicecore.engine.hosted_call import HostedCall
from voicecore.engine.lifecycle import LifecycleParts, place_call, run_hosted_call
from voicecore.engine.live_call import LiveCall
from voicecore.engine.live_transcript import LiveTranscript
from voicecore.engine.parking.parked_session import ParkedSessions
from voicecore.engine.records import Records
from voicecore.engine.settings import HostSettings
from voicecore.engine.wrap_up import WrapUp, record_audio
from voicecore.facts import CallEnded, CallReport, EndCause, ProblemSeen
from voicecore.ports import Dialler, DialOrder, Leg
from voicecore.world import World


@attrs.frozen(kw_only=True)
class RunnerParts:
    """What a runner shares with its host."""

    world: World
    ports: HostPorts
    settings: HostSettings
    registry: CallRegistry
    admission: Admission
    dispatcher: FactDispatcher
    parked: ParkedSessions
    records: Records | None


class CallRunner:
    """Runs the calls of one host."""

    def __init__(self, nursery: trio.Nursery, shared: RunnerParts) -> None:
        self.reported = 0
        """Calls whose report was passed on."""
        self._nursery = nursery
        self._shared = shared
        self._world = shared.world
        self._store = shared.ports.store
        self._leg_formats: dict[str, AudioFormat] = {}  # of each carrier's last leg: the next one is likely to be alike
        self._lifecycle = LifecycleParts(
            world=shared.world,
            provider_of=shared.ports.provider_of,
            parked=shared.parked,
            settings=shared.settings,
            notify=shared.dispatcher.notify,
            learn_id=shared.registry.alias,
            start_recording=self._start_recording if shared.ports.records_audio and self._store is not None else None,
            expected_format=self._expected_format,
            start_transcript=self._start_transcript if self._store is not None else None,
            choose_agent=self._choose_agent if shared.ports.choose_agent is not None else None,
        )
        self._wrap_up = WrapUp(self._lifecycle, shared.records, lambda: not shared.admission.is_closing)

    def start(self, hosted: HostedCall) -> None:
        """Run a call in the host's nursery."""
        self._nursery.start_soon(self.run, hosted)

    def start_placing(self, hosted: HostedCall, outbound: Outbound, dialler: Dialler, order: DialOrder) -> None:
        """Ask the carrier to place a call; the request outlives the block that asked for it."""
        placing = partial(place_call, hosted, outbound, dialler, order, self._lifecycle)
        what = f"call {hosted.call_id}: placing it"
        self._nursery.start_soon(contained, what, placing, partial(self._failed, hosted))

    async def run(self, hosted: HostedCall) -> None:
        """Run a call until nothing of it runs; it is filed afterwards, in the host's nursery."""
        running = partial(run_hosted_call, hosted, self._lifecycle)
        try:
            await contained(f"call {hosted.call_id}", running, partial(self._failed, hosted))
        finally:
            ending = self._shared.registry.stop(hosted, self._world.now())
            self._shared.admission.notice_change()
            if self._shared.admission.is_closing:  # the nursery may be gone: file it here, without waiting for anything
                await self._file(hosted, ending)
            else:
                self._nursery.start_soon(self._file, hosted, ending)

    async def run_media(self, hosted: HostedCall, leg: Leg) -> bool:
        """Give the call its media; return once nothing uses them any more: whether they kept their protocol."""
        if hosted.carrier is not None:
            self._leg_formats[hosted.carrier.name] = leg.started.audio_format
        hosted.media_came(leg)
        self._shared.admission.notice_change()
        try:
            await hosted.until_media_released()
        finally:
            hosted.end(EndCause.SHUT_DOWN, "", self._world.now())  # changes nothing where the call has ended
            with trio.move_on_after(self._shared.settings.closing_s, shield=True):
                await hosted.until_media_released()
        return hosted.ending is None or hosted.ending.cause is not EndCause.LEG_MISBEHAVED

    # --- the end --------------------------------------------------------------------

    async def _file(self, hosted: HostedCall, ending: Ending) -> None:
        filing = partial(self._wrap_up.file, hosted, ending, partial(self._report, hosted))
        await contained(f"call {hosted.call_id}: filing it", filing)
        self._forget(hosted)
        hosted.file()

    def _report(self, hosted: HostedCall, report: CallReport) -> None:
        """Pass on the report of a call, which is complete; nothing more is expected of the call."""
        self.reported += 1
        self._shared.dispatcher.notify(hosted, CallEnded(report.duration_s, report))
        self._forget(hosted)

    def _forget(self, hosted: HostedCall) -> None:
        self._shared.registry.remove(hosted, self._world.now())
        self._shared.dispatcher.forget(hosted)
        self._shared.admission.notice_change()

    def _failed(self, hosted: HostedCall, failure: BaseException) -> None:
        hosted.end(EndCause.FAILED, type(failure).__name__, self._world.now())

    # --- what a call's lifecycle asks for ---------------------------------------------

    def _expected_format(self, hosted: HostedCall) -> AudioFormat:
        if hosted.carrier is None:
            return PCMU_8K
        return self._leg_formats.get(hosted.carrier.name, hosted.carrier.media_format)

    async def _choose_agent(self, hosted: HostedCall) -> None:
        shared = self._shared
        handle = shared.dispatcher.handle(hosted)
        problem = await agent_problem(handle, hosted, shared.ports, shared.settings.choose_agent_s)
        if problem:
            at_s = self._world.now() - hosted.announced_at
            shared.dispatcher.notify(hosted, ProblemSeen(at_s, "agent_not_chosen", problem))

    def _start_recording(self, hosted: HostedCall, call: LiveCall, recording: Recording) -> None:
        if self._store is not None:
            writing = partial(record_audio, self._store, hosted.call_id, call, recording, self._lifecycle)
            self._nursery.start_soon(contained, f"call {hosted.call_id}: its recording", writing)

    def _start_transcript(self, hosted: HostedCall, call: LiveCall) -> None:
        if self._store is not None:
            hosted.transcript = LiveTranscript()
            writing = partial(hosted.transcript.write, self._store, hosted.call_id, call)
            self._nursery.start_soon(contained, f"call {hosted.call_id}: writing its transcript", writing)
