"""Patter: its embedded server with a Twilio carrier and OpenAI Realtime, in the four lines of its README.

    python run_patter.py ws://HOST:PORT MAX_CALLS

Follows the quickstart and "Inbound calls — default engine" of the package's own
README: `Patter(carrier=Twilio(…))`, `phone.agent(engine=OpenAIRealtime())`,
`phone.serve(agent)`.

Settings: the defaults of that; telemetry, dashboard and call log off; warnings only.
What had to be changed for a load that comes from one address, with a provider that
is not OpenAI's:

- the provider's address is no option: it is the class attribute OPENAI_REALTIME_URL;
- ten calls from one address are the most (MAX_WS_PER_IP): lifted;
- the end of a call asks Twilio's REST for its price: the proxy is set to a closed
  port, so that this fails at once; it is after the measured time;
- the carrier comes to the media stream directly: the webhook wants signatures of a
  public https address, and opening is not measured.

It cannot pass G.711 through: version 0.7.0 converts between µ-law at 8 kHz and PCM16
at 24 kHz both ways, sample by sample in Python.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys

os.environ.update(PATTER_TELEMETRY_DISABLED="1", DO_NOT_TRACK="1")
os.environ.update(HTTPS_PROXY="http://127.0.0.1:9", NO_PROXY="127.0.0.1")

import getpatter.server
from getpatter import OpenAIRealtime, Patter, Twilio
from getpatter.providers.openai_realtime import OpenAIRealtimeAdapter
from report_usage import report_usage

HOST = "127.0.0.1"
TOKEN = "nobody-asks-for-it"  # noqa: S105


async def main(provider_url: str, max_calls: int) -> None:
    """Answer calls until the parent has gone."""
    OpenAIRealtimeAdapter.OPENAI_REALTIME_URL = f"{provider_url}/v1/realtime"
    getpatter.server.MAX_WS_PER_IP = max_calls
    port = _free_port()
    phone = Patter(
        carrier=Twilio(account_sid=f"AC{1:032x}", auth_token=TOKEN),
        phone_number="+15550001234",
        webhook_url="bench.example.test",
        telemetry=False,
    )
    agent = phone.agent(engine=OpenAIRealtime(api_key="bench-key"), system_prompt="You answer the telephone.")
    serving = asyncio.create_task(phone.serve(agent, port=port, dashboard=False))
    await phone.ready
    for name in ("uvicorn.access", "getpatter"):
        logging.getLogger(name).setLevel(logging.WARNING)
    report_usage(port)
    await serving


def _free_port() -> int:
    """Return a port that was free a moment ago: the server needs a number."""
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
