"""`python -m voicecore.bench`: what a call costs, and how much later its audio is for having passed through.

One module a measurement, each a function from a `Plan` to a `Result`; main.py
lists them.  Read result.py first (what a measurement is given and gives), then
calls.py (the engine under load) and audio_path.py (the steps of one frame).

Rule 1: a result says what was measured and what was not, in units, beside the
machine it was measured on.
Rule 2: what is measured is shown to have been done: every frame is accounted
for, every step's output is compared.  Otherwise the run fails.
Rule 3: each figure of a whole call stands beside a baseline of the same run.
Rule 4: `Size.SMALL` runs in the tests, so that no measurement can rot; how much
each size does is said where it is done: `plan.pick(small, desk, full)`.

Level 6.
"""
