"""Pipecat: a pipeline between its Twilio transport and its OpenAI Realtime service.

    python run_pipecat.py ws://HOST:PORT MAX_CALLS

Follows two of its public examples: pipecat-examples/twilio-chatbot/inbound (FastAPI,
`parse_telephony_websocket`, `FastAPIWebsocketTransport` with
`TwilioFrameSerializer`, a pipeline at 8 kHz both ways) and
pipecat/examples/realtime/realtime-openai.py (`OpenAIRealtimeLLMService` between its
aggregators, a greeting when the user is there).

Settings: server VAD and transcription as with the other engines; metrics, tracing
and observers off; hanging up by REST off, there is no REST here; warnings only;
the provider's address by the documented `base_url`.

It cannot pass G.711 through: the pipeline carries PCM16, and version 1.14.0 of the
service sends and takes PCM16 at 24 kHz whatever formats the session's settings name.
"""

from __future__ import annotations

import sys

from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.openai.realtime.events import (
    AudioConfiguration,
    AudioInput,
    InputAudioTranscription,
    SessionProperties,
    TurnDetection,
)
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner
from serving import serve

LINE_HZ = 8000

app = FastAPI()


@app.websocket("/ws")
async def media_stream(websocket: WebSocket) -> None:
    """One call, until the carrier hangs up."""
    await websocket.accept()
    _, call = await parse_telephony_websocket(websocket)
    serializer = TwilioFrameSerializer(
        stream_sid=call["stream_id"],
        call_sid=call["call_id"],
        params=TwilioFrameSerializer.InputParams(auto_hang_up=False),
    )
    transport = FastAPIWebsocketTransport(
        websocket=websocket,
        params=FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=serializer),
    )
    worker = PipelineWorker(
        _pipeline(transport),
        params=PipelineParams(audio_in_sample_rate=LINE_HZ, audio_out_sample_rate=LINE_HZ),
    )

    @transport.event_handler("on_client_connected")
    async def on_client_connected(_transport: object, _client: object) -> None:
        await worker.queue_frames([LLMRunFrame()])

    @transport.event_handler("on_client_disconnected")
    async def on_client_disconnected(_transport: object, _client: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


def _pipeline(transport: FastAPIWebsocketTransport) -> Pipeline:
    context = LLMContext([{"role": "developer", "content": "Say hello!"}])
    user, assistant = LLMContextAggregatorPair(context)
    return Pipeline([transport.input(), user, _service(), transport.output(), assistant])


def _service() -> OpenAIRealtimeLLMService:
    heard = AudioInput(transcription=InputAudioTranscription(), turn_detection=TurnDetection())
    return OpenAIRealtimeLLMService(
        api_key="bench-key",
        base_url=f"{sys.argv[1]}/v1/realtime",
        settings=OpenAIRealtimeLLMService.Settings(
            system_instruction="You answer the telephone.",
            session_properties=SessionProperties(audio=AudioConfiguration(input=heard)),
        ),
    )


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    serve(app)
