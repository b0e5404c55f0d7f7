"""The host of all calls: what carriers report to, and what a program places, finds and counts calls with.

The host is the `CallHost` of every carrier.  An incoming call runs in the host's own
nursery from its first webhook on; a call that a program places runs in the block of `dial`.

Rule 1: a webhook is answered without waiting for anything.
Rule 2: leaving the host's block cancels what waits and files what is over, bounded;
a record that the disk does not take by then goes into the log.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import trio

from voicecore.engine.admission import Admission
from voicecore.engine.agent import Agent
from voicecore.engine.boundary import contained
from voicecore.engine.call_at_carrier import CallAtCarrier
from voicecore.engine.call_handle import CallHandle
from voicecore.engine.call_origin import Inbound, Outbound
from voicecore.engine.call_registry import CallRegistry
from voicecore.engine.call_runner import CallRunner, RunnerParts
from voicecore.engine.call_state import CallMove
from voicecore.engine.carrier_reports import CarrierReports
from voicecore.engine.carrier_side import ForCarrier, HostedPass, dialler_of
from voicecore.engine.fact_dispatcher import FactDispatcher
from voicecore.engine.host_ports import HostPorts
from voicecore.engine.host_statistics import HostStatistics
from voicecore.engine.hosted_call import HostedCall
from voicecore.engine.parking.parked_session import ParkedSessions
from voicecore.engine.records import Records, open_records, trouble_of
from voicecore.engine.settings import DialOptions, HostSettings, OnVoicemail, checked_number
from voicecore.errors import EngineBusy, printable
from voicecore.facts import (
    Dialling,
    EndCause,
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
        ports: HostPorts,
        settings: HostSettings,
        records: Records | None = None,
    ) -> None:
        self._world = world
        self._ports = ports
        self._settings = settings
        self._records = records
        self._registry = CallRegistry(settings.max_calls)
        self._parked = ParkedSessions(nursery, world, settings.parking)
        self._dispatcher = FactDispatcher(ports.observers, world.now)
        self._admission = Admission(self._registry, records, world, settings)
        self._reports = CarrierReports(self._registry, self._dispatcher, world.now)
        shared = RunnerParts(
            world=world,
            ports=ports,
            settings=settings,
            registry=self._registry,
            admission=self._admission,
            dispatcher=self._dispatcher,
            parked=self._parked,
            records=records,
        )
        self._runner = CallRunner(nursery, shared)
        if ports.store is not None:
            nursery.start_soon(contained, "looking for half-written files", partial(_tidy, ports.store))

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
            agent=self._ports.agent,
            at_carrier=CallAtCarrier(ids=[ringing.carrier_call_id]),
            carrier=carrier,
        )
        if not self._admission.admit(hosted):
            return NotTaken.BUSY
        self._runner.start(hosted)
        return hosted.token

    def token_valid(self, token: str) -> bool:
        """See `voicecore.ports.CallHost`."""
        return self._registry.token_valid(token, self._world.now())

    def take_token(self, token: str) -> MediaPass | None:
        """See `voicecore.ports.CallHost`."""
        hosted = self._registry.take_token(token, self._world.now())
        if hosted is None:
            return None
        hosted.expect_pickup()
        return HostedPass(self, hosted)

    def status(self, report: StatusReport) -> None:
        """See `voicecore.ports.CallHost`."""
        self._reports.status(report)

    def amd_result(self, report: AmdResult) -> None:
        """See `voicecore.ports.CallHost`."""
        self._reports.amd_result(report)

    def answered(self, report: AmdResult) -> str | None:
        """See `voicecore.ports.CallHost`."""
        return self._reports.answered(report)

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
        by, dialler = dialler_of(self._ports.carriers, carrier)
        options, agent = options or DialOptions(), agent or self._ports.agent
        self._ports.provider_of(agent)
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
        if not self._admission.admit(hosted):
            raise EngineBusy("no more calls are taken: the engine is full, or it is closing")
        call = self._dispatcher.handle(hosted, keeps_facts=True)
        self._dispatcher.notify(hosted, Dialling(0.0, hosted.call_id, hosted.callee))
        self._runner.start_placing(hosted, outbound, dialler, order)
        async with open_service_nursery() as nursery:
            nursery.start_soon(self._runner.run, hosted)
            try:
                yield call
            finally:
                hosted.end(EndCause.HUNG_UP, "", self._world.now())
            await hosted.until_filed()

    # --- what embedding programs ask ------------------------------------------

    def calls(self) -> list[CallHandle]:
        """Return a handle for each call that runs, inbound and outbound alike, oldest first."""
        return [self._dispatcher.handle(each) for each in self._registry.hosted_calls() if each.runs]

    def find(self, call_id: str) -> CallHandle | None:
        """Return the handle of a call by our id of it or the carrier's; None where no such call runs."""
        hosted = self._registry.find("", call_id) or self._registry.find(call_id)
        return None if hosted is None or not hosted.runs else self._dispatcher.handle(hosted)

    def statistics(self) -> HostStatistics:
        """Return how many calls and sessions stand where."""
        calls = self._registry.hosted_calls()
        return HostStatistics(
            ringing=sum(each.runs and not each.was_picked_up for each in calls),
            live=sum(each.runs and each.was_picked_up for each in calls),
            unfiled=sum(not each.runs for each in calls),
            filed=self._runner.reported if self._records is None else self._records.queue.completed,
            parked=self._parked.pool.statistics(),
            unwritten=len(self._records.queue.unwritten()) if self._records is not None else 0,
        )

    @property
    def is_admitting(self) -> bool:
        """Whether new calls are taken."""
        return self._admission.is_open

    def stop_admitting(self) -> None:
        """Take no more calls; those that run go on."""
        self._admission.stop()

    async def wait_idle(self) -> None:
        """See `voicecore.engine.admission.Admission.wait_idle`."""
        await self._admission.wait_idle()

    async def drain(self) -> None:
        """Take no more calls; return once all are over and filed. See `Admission.drain` for its bounds."""
        await self._admission.drain()

    def shut_down(self) -> None:
        """End the calls without media, give up parked sessions, and stop waiting for the carrier."""
        self._admission.shut_down()
        self._parked.shut_down()

    # --- the media ----------------------------------------------------------------

    def accepts(self, hosted: HostedCall, carrier_call_id: str) -> bool:
        """Whether a stream under this carrier id may be the call's: a call that we placed may have changed its id."""
        if hosted.direction == "inbound":
            return carrier_call_id in hosted.at_carrier.ids
        return self._registry.alias(hosted, carrier_call_id)

    async def run_media(self, hosted: HostedCall, leg: Leg) -> bool:
        """Give the call its media; return once nothing uses them any more: whether they kept their protocol."""
        self._reports.advance(hosted, CallMove.ANSWERED)  # where the media come before the status
        return await self._runner.run_media(hosted, leg)

    def media_never_came(self, hosted: HostedCall, detail: str) -> None:
        """The stream ended before it began."""
        log.warning("call %s: its media never began: %s", hosted.call_id, printable(detail))
        hosted.end(EndCause.MEDIA_NEVER_CAME, detail, self._world.now())

    # --- inside -----------------------------------------------------------------

    def _new_call(self, **known: Any) -> HostedCall:
        return HostedCall(
            call_id=self._world.new_id("call"),
            started_at=self._world.wall_clock().isoformat(timespec="milliseconds"),
            announced_at=self._world.now(),
            token=self._world.new_token(),
            **known,
        )


@asynccontextmanager
async def open_host(world: World, ports: HostPorts, settings: HostSettings | None = None) -> AsyncIterator[Host]:
    """Run a host. On leaving, ringing calls are ended and all records filed, within ``closing_s``.

    A live call keeps the media that `MediaPass.run_call` brought; end those first.
    """
    settings = settings or HostSettings()
    async with AsyncExitStack() as stack:
        records = None
        if ports.store is not None:
            opening = open_records(ports.store, world, settings.records, settings.closing_s)
            records = await stack.enter_async_context(opening)  # outlives the calls
        nursery = await stack.enter_async_context(open_service_nursery())
        host = Host(nursery, world, ports, settings, records)
        try:
            yield host
        finally:
            host.shut_down()  # what is left is filed in the shield of its own task, bounded


async def _tidy(store: CallStore) -> None:
    try:
        await store.tidy()
    except OSError as trouble:
        log.warning("could not look for half-written files: %s", printable(trouble_of(trouble), 500))
