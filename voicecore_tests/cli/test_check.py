"""What `check` finds out, on twins in virtual time and on a disk that fails."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from trio.testing import MockClock

from voicecore.cli.check import Finding, ask_carrier, open_one_session
from voicecore.cli.probe import folder_problem
from voicecore.simulation.openai_realtime import Behaviour, Handshake, RealtimeTwin
from voicecore.simulation.twilio import Account, open_twilio
from voicecore.simulation.world import simulated_world
from voicecore_tests.kit import settings

RETIRED = "The model `gpt-realtime` was shut down on 2027-01-20."


async def carrier_finding(account: Account | None = None, **overrides: object) -> Finding:
    world = simulated_world().world
    async with open_twilio(world, account or Account()) as carrier, carrier.serve_rest() as api:
        given = settings("ws://127.0.0.1:1/v1", **{"carriers__twilio__api_base_url": api, **overrides})
        return await ask_carrier(world, given)


async def provider_finding(behaviour: Behaviour | None = None) -> tuple[Finding, RealtimeTwin]:
    world = simulated_world().world
    twin = RealtimeTwin(world, behaviour=behaviour)
    async with twin.serve() as base_url:
        return await open_one_session(world, settings(base_url)), twin


@pytest.mark.parametrize(
    ("account", "note"),
    [
        (Account(), "the account was read: active, Full"),
        (Account(kind="Trial"), "the account was read: active, Trial: it can call verified numbers only"),
    ],
)
async def test_an_account_that_can_be_used(account: Account, note: str, autojump_clock: MockClock) -> None:
    """Its status is printed."""
    assert await carrier_finding(account) == Finding("carriers.twilio", None, note)


@pytest.mark.parametrize(
    ("account", "overrides", "says"),
    [
        (Account(status="suspended"), {}, "the account is suspended"),
        (Account(status="closed"), {}, "the account is closed"),
        (Account(), {"carriers__twilio__auth_token": "wrong-token"}, "HTTP status 401, error 20003"),
        (Account(), {"carriers__twilio__account_sid": "AC9"}, "check carriers.twilio.account_sid"),
        (
            Account(),
            {"carriers__twilio__api_base_url": "http://127.0.0.1:1"},
            "Twilio could not be reached: 127.0.0.1:1",
        ),
    ],
)
async def test_an_account_that_cannot(
    account: Account, overrides: dict[str, object], says: str, autojump_clock: MockClock
) -> None:
    """Why, and what to look at; never the token."""
    found = await carrier_finding(account, **overrides)
    assert says in (found.problem or "")
    assert "wrong-token" not in (found.problem or "")


async def test_a_session_is_opened_configured_and_closed(autojump_clock: MockClock) -> None:
    """Nothing is said in it, so nothing is billed."""
    found, twin = await provider_finding()
    assert found.problem is None
    assert "was opened and configured in" in found.note
    (connection,) = twin.connections
    assert [request["type"] for request in connection.requests] == ["session.update"]
    assert connection.ended.is_set()


@pytest.mark.parametrize(
    ("handshake", "says"),
    [
        (Handshake(refuse_status=401), "HTTP status 401: check the API key"),
        (Handshake(refuse_status=404, refusal_words=RETIRED), RETIRED),
        (Handshake(first_error="insufficient_quota"), "insufficient_quota"),
        (Handshake(accept_s=None), "did not answer the upgrade within 3 s"),
        (Handshake(created_s=None), "no session.created within"),
    ],
)
async def test_a_session_that_cannot_be_had(handshake: Handshake, says: str, autojump_clock: MockClock) -> None:
    """The provider's reason, in its words where it gives some."""
    found, _ = await provider_finding(Behaviour(handshake=handshake))
    assert says in (found.problem or "")


def test_a_folder_is_left_as_it_was(tmp_path: Path) -> None:
    """Neither the probe nor folders that were made for it stay; what was there does."""
    assert folder_problem(tmp_path / "deep" / "data") is None
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "kept").write_text("x")
    assert folder_problem(tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_fails_is_named(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full, read-only, broken: the path and the system's words; nothing is left."""

    def fail(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    assert folder_problem(tmp_path / "data") == f"{tmp_path / 'data'}: cannot be written: {os.strerror(number)}"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    """A file where a folder was expected."""
    (tmp_path / "data").write_text("")
    assert folder_problem(tmp_path / "data") == f"{tmp_path / 'data'}: cannot be written: it is a file, not a folder"
    assert (tmp_path / "data").read_text() == ""
