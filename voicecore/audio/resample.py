"""Changing the sampling rate of a running stream: 8, 16 and 24 kHz, any to any.

A polyphase filter: output sample m is the inner product of one phase of a
Kaiser-windowed low-pass with the input around m.  Every output is computed by
the same sum of the same length, however the input was cut, so the bytes that
come out do not depend on the cuts.

Rule 1: the filter's memory goes on from chunk to chunk; `reset` ends it.
Rule 2: duration in is duration out: after `flush` exactly rate_out / rate_in
samples have come for each that went in.
Rule 3: the added delay is constant: 18 samples of the lower rate (2.25 ms where
that is 8 kHz; `delay_s`).  It is held back, not inserted: positions stay, and
`flush` brings out the rest.
Rule 4: coefficients are multiples of 2**-22 and samples are integers, so that
sums in double precision are exact and no order of summation shows.

The pass band (to 3,400 Hz at 8 kHz) is flat to 0.1 dB; from 4,600 Hz on nothing
is louder than -70 dB.  Why not soxr: its steady mode delays by 4 to 12 ms, its
default one by up to 0.1 s and in bursts (docs/protocols/audio.md, section 6).

Pure.
"""

from __future__ import annotations

import functools
import math

import attrs
import numpy as np
import numpy.typing as npt

from voicecore.audio.g711 import Samples

_KAISER_BETA = 7.9  #: side lobes at -80 dB
_REACH = 18  #: periods of the lower rate to each side; sets transition band and delay
_COEFFICIENT_STEP = 2.0**-22

_Reals = npt.NDArray[np.float64]


@attrs.frozen(eq=False)
class _Plan:
    """One pair of rates: the output rate is up / down of the input rate."""

    up: int
    down: int
    taps: int  #: input samples that one output looks at
    phases: _Reals  #: (up, taps), for the oldest input first
    delay: int  #: output samples by which the filter is late


@functools.cache
def _plan(rate_in: int, rate_out: int) -> _Plan:
    common = math.gcd(rate_in, rate_out)
    up, down = rate_out // common, rate_in // common
    wide = max(up, down)  # the lower rate's period, in samples of the common multiple of both
    centre = _REACH * wide
    taps = -(-(2 * centre + 1) // up)
    offset = np.arange(taps * up) - centre
    window = np.zeros(taps * up)
    window[: 2 * centre + 1] = np.kaiser(2 * centre + 1, _KAISER_BETA)
    phases = (np.sinc(offset / wide) * window).reshape(taps, up).T[:, ::-1]
    phases = phases / phases.sum(axis=1, keepdims=True)  # a constant passes unchanged in every phase
    return _Plan(up, down, taps, np.rint(phases / _COEFFICIENT_STEP) * _COEFFICIENT_STEP, centre // down)


class Resampler:
    """One stream from one rate to another."""

    def __init__(self, rate_in_hz: int, rate_out_hz: int) -> None:
        self._plan = _plan(rate_in_hz, rate_out_hz)
        self.delay_s = self._plan.delay / rate_out_hz
        """How much audio is held back until its future is known (or `flush`)."""
        self.reset()

    def reset(self) -> None:
        """Forget the stream; what comes next begins after silence."""
        self._past: _Reals = np.zeros(self._plan.taps - 1)
        self._inputs = 0
        self._next = self._plan.delay  # the next output, counted with the filter's delay

    def process(self, samples: Samples) -> Samples:
        """Return the output that has become known; its length depends only on what came before and the input's."""
        plan = self._plan
        known: _Reals = np.concatenate((self._past, samples.astype(np.float64)))
        self._inputs += len(samples)
        end = -(-self._inputs * plan.up // plan.down)
        result = self._filter(known, max(end, self._next))
        self._past = known[len(known) - (plan.taps - 1) :]
        return result

    def flush(self) -> Samples:
        """Return what was held back, so that the stream has its exact length, and reset."""
        plan = self._plan
        missing = -(-self._inputs * plan.up // plan.down) + plan.delay - self._next
        tail = self.process(np.zeros(-(-(plan.delay + 1) * plan.down // plan.up), np.int16))[:missing]
        self.reset()
        return tail

    def _filter(self, known: _Reals, end: int) -> Samples:
        """Return outputs from `_next` to ``end``; ``known`` ends with the newest input."""
        plan = self._plan
        first = self._inputs - len(known)  # the number of known[0] in the stream
        outputs = np.empty(end - self._next)
        if not len(outputs):
            return outputs.astype(np.int16)
        windows = np.lib.stride_tricks.sliding_window_view(known, plan.taps)
        for lane in range(min(plan.up, len(outputs))):  # outputs of one phase look at every down-th input
            newest, phase = divmod((self._next + lane) * plan.down, plan.up)
            count = len(range(lane, len(outputs), plan.up))
            begin = newest - first - (plan.taps - 1)
            rows = windows[begin : begin + (count - 1) * plan.down + 1 : plan.down]
            outputs[lane :: plan.up] = rows @ plan.phases[phase]
        self._next = end
        return np.clip(np.rint(outputs), -32768, 32767).astype(np.int16)
