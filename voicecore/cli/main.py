"""The program: one subcommand a file, and its exit codes.

    0 done    1 the thing failed    2 wrong usage or configuration    130 Ctrl-C

Rule: an error is one clear line on stderr; a traceback is a bug.  So is one on
Ctrl-C, also while the program is still being loaded (startup.py), or where the
reader of our output leaves first, which is exit 1: both end quietly.
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
    except* BrokenPipeError:  # nobody reads what we print any more, as in `voicecore demo | head`
        _let_go_of_output()
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
    """Return what an error says; of the system's, its words and the file that they are about."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"


def _let_go_of_output() -> None:
    """Have Python flush into nothing what it could not print, instead of complaining at its end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nothing, stream.fileno())
    os.close(nothing)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="voicecore", description="Telephone calls that an AI answers and places.")
    parser.add_argument("--version", action="version", version=f"voicecore {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo_parser = commands.add_parser("demo", help="run one whole call between simulated peers: no key, no network")
    demo_parser.add_argument(
        "--out", type=Path, default=Path("demo-output"), metavar="DIR", help="where to write (demo-output)"
    )
    demo_parser.add_argument("--json", action="store_true", help="print the report as JSON instead of the call")
    demo_parser.set_defaults(run=demo.run, log_level=logging.WARNING)  # it shows the call itself

    serve_parser = commands.add_parser("serve", help="answer calls")
    _add_config(serve_parser)
    serve_parser.add_argument("--host", help="instead of server.host")
    serve_parser.add_argument("--port", type=int, help="instead of server.port; 0 picks a free one")
    serve_parser.add_argument("--public-url", metavar="URL", help="instead of server.public_url")
    serve_parser.set_defaults(run=serve.run, log_level=logging.INFO)

    call_parser = commands.add_parser("call", help="place one call, show it as it happens, and print its report")
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
    call_parser.set_defaults(run=call.run, log_level=logging.ERROR)  # it shows the call itself

    check_parser = commands.add_parser("check", help="check the configuration, the disk and the network")
    _add_config(check_parser)
    how_far = check_parser.add_mutually_exclusive_group()
    how_far.add_argument("--offline", action="store_true", help="check the configuration and the disk only")
    how_far.add_argument(
        "--live",
        action="store_true",
        help="also check the keys, by one request to the carrier and one session; nothing billed",
    )
    check_parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    check_parser.set_defaults(run=check.run, log_level=logging.WARNING)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="instead of voicecore.toml in this folder")
