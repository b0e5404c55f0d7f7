"""Metrics as Prometheus reads them: a strict reader of the text format, and what it finds."""

from __future__ import annotations

import re

import attrs
import pytest
from trio.testing import MockClock

from voicecore.engine.host_statistics import HostStatistics
from voicecore.engine.metrics import CONTENT_TYPE, exposition
from voicecore.engine.parking.pool import ParkingStatistics
from voicecore.facts import ParkingOutcome
from voicecore.net.http.client import open_http_client
from voicecore_tests.kit import Rig, rig

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{({_LABEL}(?:,{_LABEL})*)\}})? (-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)")


@attrs.define
class Family:
    about: str
    kind: str = ""
    values: dict[str, float] = attrs.field(factory=dict)


def parse(text: str) -> dict[str, Family]:
    """Read the format, version 0.0.4, strictly: HELP, then TYPE, then samples of that metric, each once."""
    assert text.endswith("\n")
    assert "\r" not in text
    families: dict[str, Family] = {}
    name = ""
    for line in text.splitlines():
        if found := re.fullmatch(rf"# HELP ({_NAME}) (\S.*)", line):
            name = found[1]
            assert name not in families
            families[name] = Family(found[2])
        elif found := re.fullmatch(rf"# TYPE ({_NAME}) (counter|gauge)", line):
            assert (found[1], families[name].kind, families[name].values) == (name, "", {})
            families[name].kind = found[2]
        else:
            sample = _SAMPLE.fullmatch(line)
            assert sample is not None, line
            assert sample[1] == name
            assert families[name].kind
            assert (sample[2] or "") not in families[name].values
            families[name].values[sample[2] or ""] = float(sample[3])
    assert all(family.values for family in families.values())
    return families


def test_every_metric_has_help_type_and_a_value() -> None:
    """Also before anything has happened."""
    nothing = ParkingStatistics(waiting=0, outcomes={}, used_s=0.0, wasted_s=0.0)
    families = parse(exposition(HostStatistics(ringing=0, live=0, unfiled=0, filed=0, parked=nothing)).decode())
    assert {name: family.kind for name, family in families.items()} == {
        "voicecore_calls_ringing": "gauge",
        "voicecore_calls_live": "gauge",
        "voicecore_calls_unfiled": "gauge",
        "voicecore_calls_filed": "counter",
        "voicecore_calls_unwritten": "gauge",
        "voicecore_parked_sessions": "gauge",
        "voicecore_parked_sessions_total": "counter",
        "voicecore_parked_seconds_total": "counter",
    }
    assert {value for family in families.values() for value in family.values.values()} == {0.0}
    assert len(families["voicecore_parked_sessions_total"].values) == len(ParkingOutcome)
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


def test_values_are_those_of_the_host() -> None:
    """Labels have one word each."""
    parked = ParkingStatistics(waiting=3, outcomes={ParkingOutcome.HUNG_UP: 4}, used_s=1e-7, wasted_s=2.5)
    families = parse(exposition(HostStatistics(ringing=1, live=2, unfiled=5, filed=6, parked=parked)).decode())
    assert families["voicecore_calls_live"].values == {"": 2.0}
    assert families["voicecore_parked_sessions_total"].values['outcome="hung_up"'] == 4.0
    assert families["voicecore_parked_seconds_total"].values == {'outcome="used"': 1e-7, 'outcome="wasted"': 2.5}


async def fetched(it: Rig, url: str) -> tuple[int, str, str]:
    """Status, content type and text of a URL's metrics."""
    async with open_http_client(it.simulated.network) as http:
        answer = await http.get(f"{url}/metrics")
    return answer.status, answer.headers.get("content-type", ""), answer.body.decode()


async def test_a_running_engine_answers_on_the_address_that_is_set(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Only there, for every client; the webhook port serves no metrics then."""
    caplog.set_level("INFO")
    async with rig(server__metrics_port=9100, server__metrics_host="10.0.0.1") as it:
        assert "metrics are served at http://10.0.0.1:9100/metrics" in caplog.text
        status, content_type, text = await fetched(it, "http://10.0.0.1:9100")
        assert (status, content_type) == (200, CONTENT_TYPE)
        assert parse(text)["voicecore_calls_live"].values == {"": 0.0}
        assert (await fetched(it, it.engine.url))[0] == 404


async def test_a_running_engine_is_closed_to_strangers(autojump_clock: MockClock) -> None:
    """Peers of the simulated network are no peers of this machine."""
    async with rig() as it:
        assert (await fetched(it, it.engine.url))[0] == 403
    async with rig(server__metrics_token="let-me-see") as it:
        assert (await fetched(it, it.engine.url))[0] == 401


async def test_an_engine_knows_whether_its_public_url_leads_to_it(autojump_clock: MockClock) -> None:
    """Its own address does; one without an answer does not."""
    async with rig() as it:
        assert it.engine.public_url == it.engine.url
        assert await it.engine.find_url_problem() is None
    async with rig(server__public_url="https://voice.example.com") as it:
        assert it.engine.public_url == "https://voice.example.com"
        assert "nothing answers at https://voice.example.com" in (await it.engine.find_url_problem() or "")


@pytest.mark.parametrize(
    "text",
    [
        "voicecore_a 1\n",
        "# HELP a about\na 1\n",
        "# HELP a about\n# TYPE a gauge\nb 1\n",
        "# HELP a about\n# TYPE a gauge\na 1\na 2\n",
        "# HELP a about\n# TYPE a gauge\n",
        "# HELP a about\n# TYPE a gauge\na{b=c} 1\n",
        "# HELP a about\n# TYPE a gauge\na 1",
    ],
)
def test_the_reader_is_strict(text: str) -> None:
    """It can fail."""
    with pytest.raises(AssertionError):
        parse(text)
