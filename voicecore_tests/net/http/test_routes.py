"""Which requests reach a handler, and which do not."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from voicecore.net.http.messages import Request, Response, Upgrade
from voicecore.net.http.routes import Parameters, Router


async def show(_request: Request, parameters: Parameters) -> Response:
    """Answer with the parameters."""
    await trio.lowlevel.checkpoint()
    return Response(200, repr(dict(parameters)).encode())


ROUTER = Router(
    {
        ("POST", "/twilio/voice"): show,
        ("GET", "/twilio/media/{token}"): show,
        ("GET", "/calls/{call}/legs/{leg}"): show,
        ("DELETE", "/calls/{call}/legs/{leg}"): show,
        ("GET", "/a.b"): show,
    }
)


async def ask(method: str, path: str) -> Response:
    answer = await ROUTER(Request(method=method, path=path))
    assert not isinstance(answer, Upgrade)
    return answer


async def test_a_route_is_found_by_method_and_path() -> None:
    """The handler of the pair answers."""
    assert await ask("POST", "/twilio/voice") == Response(200, b"{}")


async def test_a_name_in_a_pattern_stands_for_one_segment() -> None:
    """The segment is given to the handler under its name."""
    assert (await ask("GET", "/twilio/media/3f-A_.~9")).body == b"{'token': '3f-A_.~9'}"
    assert (await ask("GET", "/calls/c1/legs/l2")).body == b"{'call': 'c1', 'leg': 'l2'}"


async def test_a_dot_in_a_pattern_is_a_dot() -> None:
    """Patterns are no regular expressions."""
    assert (await ask("GET", "/a.b")).status == 200
    assert (await ask("GET", "/axb")).status == 404


async def test_s10_another_method_on_a_known_path() -> None:
    """405, with the methods that there are."""
    answer = await ask("GET", "/twilio/voice")
    assert (answer.status, answer.headers) == (405, [("allow", "POST")])
    assert (await ask("PUT", "/calls/c/legs/l")).headers == [("allow", "DELETE, GET")]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/unknown",
        "/twilio/voice/",
        "//twilio/voice",
        "/twilio//voice",
        "/twilio/../twilio/voice",
        "/./twilio/voice",
        "/TWILIO/voice",
        "/twilio/%76oice",
        "/twilio/voice%00",
        "/twilio/voice\n",
        "/twilio/voice;x",
        "http://port/twilio/voice",
        "*",
    ],
)
async def test_s10_a_path_is_matched_as_it_was_sent(path: str) -> None:
    """No other spelling of a path reaches its handler."""
    assert (await ask("POST", path)).status == 404


@pytest.mark.parametrize("segment", ["", ".", "..", "a/b", "%2e%2e", "..%2f", "a b", "é", "a\0", "a\n", "a;b"])
async def test_s10_a_segment_that_leads_elsewhere_is_no_token(segment: str) -> None:
    """Neither dots, nor slashes, nor anything encoded is taken for a name's value."""
    assert (await ask("GET", f"/twilio/media/{segment}")).status == 404
    assert (await ask("GET", f"/calls/{segment}/legs/l")).status == 404


@given(st.text(max_size=40))
def test_what_matches_is_harmless(segment: str) -> None:
    """Whatever a name can stand for consists of unreserved characters and is no folder's name."""

    async def main() -> Response:
        return await ask("GET", f"/twilio/media/{segment}")

    if trio.run(main).status == 200:
        assert segment not in {"", ".", ".."}
        assert segment.isascii()
        assert all(c.isalnum() or c in "._~-" for c in segment)
