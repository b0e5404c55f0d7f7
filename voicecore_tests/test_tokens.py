"""Tokens and ids: too long to guess, and from a secure source."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import reduce
from operator import and_, or_

import pytest

from voicecore.assembly import real_world
from voicecore.simulation.world import simulated_world
from voicecore.world import World

DRAWN = 200


def token(world: World) -> str:
    return world.new_token()


def call_id(world: World) -> str:
    return world.new_id("call").removeprefix("call_")


@pytest.mark.parametrize(("draw", "bits"), [(token, 192), (call_id, 96)])
def test_every_bit_is_drawn(draw: Callable[[World], str], bits: int) -> None:
    """Among two hundred each bit is sometimes set and sometimes not; all have one length, and no two are the same."""
    world = simulated_world(3).world
    texts = [draw(world) for _ in range(DRAWN)]
    assert {len(text) for text in texts} == {bits // 4}
    assert len(set(texts)) == DRAWN
    numbers = [int(text, 16) for text in texts]
    assert (reduce(or_, numbers), reduce(and_, numbers)) == (2**bits - 1, 0)


def test_real_ones_come_from_the_operating_system() -> None:
    """A generator that can be seeded can be guessed from what it has drawn before."""
    assert isinstance(real_world().random, random.SystemRandom)
