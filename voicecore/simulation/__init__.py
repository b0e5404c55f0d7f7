"""Twins and the simulated world: peers that speak the real wire protocols, and a World in virtual time.

    rig.py              an engine between its twins, for tests, benchmarks and the demo
    world.py            the simulated world: memory_network.py, memory_files.py
    twilio/             the carrier twin
    openai_realtime/    the provider twin

A twin is written from the sheets in docs/protocols/, not from our codecs, so that the two can disagree.
"""
