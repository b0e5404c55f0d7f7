"""The program's choice of the agent that takes an incoming call.

Rule: whatever goes wrong with the choice, the call is taken by the engine's own agent,
no later than the bound, and the log says so.
"""

from __future__ import annotations

import logging

import trio

from voicecore.engine.agent import Agent
from voicecore.engine.call_handle import CallHandle
from voicecore.engine.host_ports import ChooseAgent, HostPorts
from voicecore.engine.hosted_call import HostedCall

log = logging.getLogger("voicecore.engine")

_OWN = "the engine's own agent takes the call"


async def agent_problem(handle: CallHandle, hosted: HostedCall, ports: HostPorts, within_s: float) -> str:
    """Let the program choose who takes a call that rings; return what went wrong, empty where nothing did."""
    if ports.choose_agent is None:
        return ""
    with trio.move_on_after(within_s):
        try:
            agent = await _chosen(ports.choose_agent, handle, ports)
        except Exception as failure:
            log.exception("call %s: the handler of incoming calls failed", hosted.call_id)
            return f"the handler of incoming calls failed: {type(failure).__name__}: {failure}; {_OWN}"
        hosted.agent = agent or hosted.agent  # also where the media are here: the talk has not begun
        return ""
    return f"the handler of incoming calls took longer than {within_s:g} s; {_OWN}"


async def _chosen(choose: ChooseAgent, handle: CallHandle, ports: HostPorts) -> Agent | None:
    agent = await choose(handle)
    if agent is None:
        return None
    if not isinstance(agent, Agent):
        raise TypeError(f"it returned {type(agent).__name__}, neither an Agent nor None")
    ports.provider_of(agent)
    return agent
