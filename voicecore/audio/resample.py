"""Resamples a stream between 8, 16 and 24 kHz.

A polyphase filter: output sample m is the inner product of one phase of a
Kaiser-windowed low-pass with the input around m. Every output is the same sum of the
same length, wherever the input is cut, so the output does not depend on the cuts.

Rule 1: the filter's state continues from chunk to chunk; `reset` clears it.
Rule 2: the duration is preserved: after `flush` there are exactly rate_out / rate_in
output samples for each input sample.
Rule 3: the delay is constant: 18 samples of the lower rate (2.25 ms at 8 kHz; see
`delay_s`). Output is withheld, and nothing is inserted: positions are unchanged,
and `flush` returns the rest.
Rule 4: coefficients are multiples of 2**-22 and samples are integers, so that sums
in double precision are exact, in any order.

The pass band (to 3,400 Hz at 8 kHz) is flat to 0.1 dB; from 4,600 Hz on nothing
is louder than -70 dB. soxr is not used, because its steady mode adds 4 to 12 ms, and
its default mode up to 0.1 s and in bursts (docs/protocols/audio.md, section 6).

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
    """The filter for a pair of rates: output rate = input rate * up / down."""

    up: int
    down: int
    taps: int  #: input samples for one output sample
    phases: _Reals  #: (up, taps), for the oldest input first
    delay: int  #: the filter's delay in output samples


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
    """Resamples one stream."""

    def __init__(self, rate_in_hz: int, rate_out_hz: int) -> None:
        self._plan = _plan(rate_in_hz, rate_out_hz)
        self.delay_s = self._plan.delay / rate_out_hz
        """How far the output lags behind the input, until `flush`."""
        self.reset()

    def reset(self) -> None:
        """Clear the filter; the next input follows silence."""
        self._past: _Reals = np.zeros(self._plan.taps - 1)
        self._inputs = 0
        self._next = self._plan.delay  # the next output, counted with the filter's delay

    def process(self, samples: Samples) -> Samples:
        """Return the output that is available; its length depends only on the lengths of the inputs so far."""
        plan = self._plan
        known: _Reals = np.concatenate((self._past, samples.astype(np.float64)))
        self._inputs += len(samples)
        end = -(-self._inputs * plan.up // plan.down)
        result = self._filter(known, max(end, self._next))
        self._past = known[len(known) - (plan.taps - 1) :]
        return result

    def flush(self) -> Samples:
        """Return the rest of the output, so that the stream has its exact length, and reset."""
        plan = self._plan
        missing = -(-self._inputs * plan.up // plan.down) + plan.delay - self._next
        tail = self.process(np.zeros(-(-(plan.delay + 1) * plan.down // plan.up), np.int16))[:missing]
        self.reset()
        return tail

    def _filter(self, known: _Reals, end: int) -> Samples:
        """Return outputs from `_next` to ``end``; ``known`` ends with the newest input."""
        plan = self._plan
        first = self._inputs - len(known)  # index of known[0] in the stream
        outputs = np.empty(end - self._next)
        if not len(outputs):
            return outputs.astype(np.int16)
        windows = np.lib.stride_tricks.sliding_window_view(known, plan.taps)
        for lane in range(min(plan.up, len(outputs))):  # outputs of one phase use every down-th input
            newest, phase = divmod((self._next + lane) * plan.down, plan.up)
            count = len(range(lane, len(outputs), plan.up))
            begin = newest - first - (plan.taps - 1)
            rows = windows[begin : begin + (count - 1) * plan.down + 1 : plan.down]
            outputs[lane :: plan.up] = rows @ plan.phases[phase]
        self._next = end
        return np.clip(np.rint(outputs), -32768, 32767).astype(np.int16)
