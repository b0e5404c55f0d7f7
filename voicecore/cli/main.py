"""The `voicecore` program: argument parser, logging and exit codes.

    0 done    1 failed    2 wrong usage or configuration    130 Ctrl-C

Rule: an error is one clear line on stderr; a traceback is a bug. Ctrl-C, also while
the program is loading (startup.py), and a closed output pipe (exit 1) end it quietly.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from voicecore.cli import call, check, demo, serve
from voicecore.cli.exits import FAILED, Failed, WrongUsage
from voicecore.errors import VoicecoreError, printable
from voicecore.startup import INTERRUPTED, loaded
from voicecore.version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    code = FAILED
    try:
        loaded()
        try:
            code = _run(arguments)
        finally:  # argparse leaves by SystemExit
            sys.stdout.flush()
    except* KeyboardInterrupt:
        code = INTERRUPTED
    except* BrokenPipeError:  # the reader of our output has gone, as in `voicecore demo | head`
        _discard_output()
    return code


def _run(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=options.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        return int(options.run(options, os.environ))
    except (Failed, WrongUsage) as failure:
        for line in failure.lines:
            print(f"voicecore: {line}", file=sys.stderr)
        return failure.code
    except BrokenPipeError:
        raise
    except (VoicecoreError, OSError) as error:
        print(f"voicecore: {printable(_said(error), 500)}", file=sys.stderr)
        return FAILED


def _said(error: VoicecoreError | OSError) -> str:
    """Return the message of an error; for an OSError, with the file name."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"


def _discard_output() -> None:
    """Redirect output to the null device, so that Python does not complain about it at exit."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nothing, stream.fileno())
    os.close(nothing)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voicecore", description="Answers and places telephone calls with an AI agent."
    )
    parser.add_argument("--version", action="version", version=f"voicecore {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo_parser = commands.add_parser("demo", help="run a complete call between simulated peers: no key, no network")
    demo_parser.add_argument(
        "--out", type=Path, default=Path("demo-output"), metavar="DIR", help="where to write (demo-output)"
    )
    demo_parser.add_argument("--json", action="store_true", help="print the report as JSON instead of the call")
    demo_parser.set_defaults(run=demo.run, log_level=logging.WARNING)  # the output shows the call

    serve_parser = commands.add_parser("serve", help="answer calls")
    _add_config(serve_parser)
    serve_parser.add_argument("--host", help="instead of server.host")
    serve_parser.add_argument("--port", type=int, help="instead of server.port; 0 picks a free one")
    serve_parser.add_argument("--public-url", metavar="URL", help="instead of server.public_url")
    serve_parser.set_defaults(run=serve.run, log_level=logging.INFO)

    call_parser = commands.add_parser("call", help="place one call, show it live, and print its report")
    call_parser.add_argument("number", metavar="NUMBER", help="the number to call, such as +15551234567")
    _add_config(call_parser)
    call_parser.add_argument("--first-message", metavar="TEXT", help="instead of agent.first_message")
    call_parser.add_argument("--host", help="instead of server.host")
    call_parser.add_argument("--port", type=int, help="instead of server.port; 0 picks a free one")
    call_parser.add_argument("--public-url", metavar="URL", help="instead of server.public_url")
    call_parser.add_argument(
        "--no-url-check", action="store_true", help="call without checking that the public URL leads to this process"
    )
    call_parser.add_argument("--json", action="store_true", help="print the report as JSON instead of the call")
    call_parser.set_defaults(run=call.run, log_level=logging.ERROR)  # the output shows the call

    check_parser = commands.add_parser("check", help="check the configuration, the disk and the network")
    _add_config(check_parser)
    how_far = check_parser.add_mutually_exclusive_group()
    how_far.add_argument("--offline", action="store_true", help="check the configuration and the disk only")
    how_far.add_argument(
        "--live",
        action="store_true",
        help="also check the keys, with one request to the carrier and one session; not billed",
    )
    check_parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    check_parser.set_defaults(run=check.run, log_level=logging.WARNING)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="instead of voicecore.toml in this folder")
