"""`python -m voicecore.bench`: what a call costs, and how much latency the engine adds to its audio.

    load/         whole calls: one file per measurement, and the peers that they run between
    micro/        single parts: codecs, audio, state machines, sockets
    processes/    programs that are measured in a process of their own
    report/       results as tables, JSON and pictures

Each measurement is a function from a `Plan` to `Result`s; main.py lists them.  Read
report/result.py first (what a measurement is given and returns), then load/calls.py
(the engine under load) and micro/audio_path.py (the steps of one frame).

Rule 1: a result says what was measured and what was not, with units, together with the
machine it was measured on.
Rule 2: what is measured is verified: every frame is accounted for, every step's output
is compared.  Otherwise the run fails.
Rule 3: each figure of a whole call is shown with a baseline from the same run.
Rule 4: `Size.SMALL` runs in the tests, so that no measurement can rot; how much each
size does is said where it is done: `plan.pick(small, desk, full)`.
"""
