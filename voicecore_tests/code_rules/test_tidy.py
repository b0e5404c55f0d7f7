"""The rules of the code over every file of the repository, and a proof for each rule that it can fail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from voicecore_tests.code_rules import rules
from voicecore_tests.code_rules.packages import PACKAGE, REPOSITORY
from voicecore_tests.code_rules.rules import Rule, Source

TESTS = REPOSITORY / "voicecore_tests"
NOT_WRITTEN_HERE = ("demo-output", "bench-output", "dist", "build")

pytestmark = pytest.mark.xdist_group("code rules")  # one worker reads the sources, once


@cache
def python_sources() -> list[Source]:
    """Return the package's files by their path below voicecore/, the others by that below the repository."""
    package = [Source(path.relative_to(PACKAGE).as_posix(), path.read_text()) for path in PACKAGE.rglob("*.py")]
    tests = [Source(path.relative_to(REPOSITORY).as_posix(), path.read_text()) for path in TESTS.rglob("*.py")]
    return sorted(package + tests, key=lambda source: source.path)


@pytest.fixture(scope="module", autouse=True)
def _sources_are_forgotten() -> Iterator[None]:
    """Half a million nodes are nothing to keep for the tests that follow."""
    yield
    python_sources.cache_clear()


def all_texts() -> list[Source]:
    """Return every text of the repository that people wrote."""
    tops = [top for top in REPOSITORY.iterdir() if top.name not in NOT_WRITTEN_HERE and top.suffix != ".egg-info"]
    paths = [path for top in tops for path in [top, *top.rglob("*")] if path.is_file() and not _is_hidden(path)]
    written = [path for path in paths if path.suffix in {".md", ".toml", ".txt", ".py", ""}]
    return [Source(path.relative_to(REPOSITORY).as_posix(), path.read_text()) for path in written]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") and part != ".ci" for part in path.relative_to(REPOSITORY).parts)


def findings(rule: Rule, sources: list[Source]) -> list[str]:
    """Return one line for each place that breaks the rule."""
    return [f"{source.path}:{found.line}: {found.what}" for source in sources for found in rule(source)]


@pytest.mark.parametrize("rule", rules.PACKAGE_RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule: Rule) -> None:
    """Rules for what runs in a call."""
    assert findings(rule, [source for source in python_sources() if not source.path.startswith(TESTS.name)]) == []


@pytest.mark.parametrize("rule", rules.TEST_RULES, ids=lambda rule: rule.__name__)
def test_the_tests_keep_the_rule(rule: Rule) -> None:
    """Rules for tests."""
    assert findings(rule, [source for source in python_sources() if source.path.startswith(TESTS.name)]) == []


@pytest.mark.parametrize("rule", rules.PYTHON_RULES, ids=lambda rule: rule.__name__)
def test_all_code_keeps_the_rule(rule: Rule) -> None:
    """Rules for package and tests alike."""
    assert findings(rule, python_sources()) == []


@pytest.mark.parametrize("rule", rules.TEXT_RULES, ids=lambda rule: rule.__name__)
def test_all_texts_keep_the_rule(rule: Rule) -> None:
    """Rules for everything that is written, documentation included."""
    texts = all_texts()
    assert {"README.md", "Makefile", "voicecore/errors.py"} <= {source.path for source in texts}
    assert findings(rule, texts) == []


def test_every_exception_is_a_place_that_exists() -> None:
    """The lists of exceptions have no obsolete entries."""
    places = {*rules.CLOCK_PLACES, *rules.CHANCE_PLACES, *rules.FILE_PLACES, *rules.PRINT_PLACES}
    places |= {*rules.WIDE_CATCH_PLACES}
    assert [place for place in sorted(places) if not (PACKAGE / place).exists()] == []


# --- each rule can fail --------------------------------------------------------------------

OPENED = "async with trio.open_nursery() as nursery:\n        "
LONG = "def f():\n" + "    x = 1\n" * 70

BROKEN: list[tuple[Rule, str]] = [
    (rules.clock_only_in_its_places, "import time"),
    (rules.clock_only_in_its_places, "from time import monotonic"),
    (rules.clock_only_in_its_places, "def f():\n    return datetime.now(UTC)"),
    (rules.clock_only_in_its_places, "def f():\n    return datetime.datetime.now(UTC)"),
    (rules.clock_only_in_its_places, "now = trio.current_time()"),
    (rules.clock_only_in_its_places, "from trio import current_time"),
    (rules.chance_only_in_its_places, "import random"),
    (rules.chance_only_in_its_places, "from secrets import token_hex"),
    (rules.chance_only_in_its_places, "def f():\n    import uuid"),
    (rules.files_only_in_their_places, "open('x')"),
    (rules.files_only_in_their_places, "import os.path"),
    (rules.files_only_in_their_places, "text = path.read_text()"),
    (rules.files_only_in_their_places, "async def f():\n    await trio.open_file(path)"),
    (rules.print_only_in_its_places, "print('here')"),
    (rules.print_only_in_its_places, "sys.stderr.write('here')"),
    (rules.no_probes, "if hasattr(leg, 'clear'): pass"),
    (rules.no_probes, "park = getattr(provider, 'park', None)"),
    (rules.no_probes, "setattr(self, name, 1)"),
    (rules.no_unbounded_queue, "trio.open_memory_channel(math.inf)"),
    (rules.no_unbounded_queue, "trio.open_memory_channel[int](float('inf'))"),
    (rules.no_unbounded_queue, "items = deque()"),
    (rules.no_unbounded_queue, "x = 1  # full\nitems = collections.deque[int]([])"),
    (rules.no_unbounded_queue, "items = queue.Queue()"),
    (rules.no_detached_task, "trio.lowlevel.spawn_system_task(f)"),
    (rules.no_detached_task, "async def f():\n    self.nursery.start_soon(g)"),
    (rules.no_detached_task, "async def f(host):\n    host.start_soon(g)"),
    (rules.no_detached_task, "async def f(host):\n    await host.nursery.start(g)"),
    (rules.no_detached_task, f"async def f():\n    {OPENED}pass\nasync def g():\n    nursery.start_soon(h)"),
    (rules.no_detached_task, "class A:\n  def __init__(self): self._n = find()\n  def f(self): self._n.start_soon(g)"),
    (rules.no_wide_catch, "try: f()\nexcept: pass"),
    (rules.no_wide_catch, "try: f()\nexcept Exception: pass"),
    (rules.no_wide_catch, "try: f()\nexcept* Exception: pass"),
    (rules.no_wide_catch, "try: f()\nexcept (OSError, BaseException): pass"),
    (rules.no_wide_catch, "try: f()\nexcept trio.Cancelled: pass"),
    (rules.no_wide_catch, "def f():\n  try: f()\n  except BaseException:\n    if x: return\n    raise"),
    (rules.no_wide_catch, "with contextlib.suppress(Exception): f()"),
    (rules.at_most_one_changing_boolean, "class A:\n  def f(self): self.a = True\n  def g(self): self.b = False"),
    (
        rules.at_most_one_changing_boolean,
        "class A:\n  def __init__(self): self.a: bool = True; self.b = False\n  def f(self): self.a = self.b = x",
    ),
    (rules.at_most_one_changing_boolean, "class A:\n  def f(self):\n    self.a = not x\n    self.b = True"),
    (rules.secrets_are_hidden, "class A:\n  auth_token: str"),
    (rules.secrets_are_hidden, "class A:\n  api_key: str | None = attrs.field(default=None)"),
    (rules.secrets_are_hidden, "class A:\n  password: bytes = attrs.field(repr=True)"),
    (rules.opens_with_a_docstring, "import attrs"),
    (rules.stays_small, LONG),
    (rules.stays_small, "x = 1\n" * 501),
    (rules.nothing_is_left_for_later, "x = 1  # TO{}: more".format("DO")),
    (rules.nothing_is_left_for_later, "def f():\n    raise NotImplementedError"),
    (rules.nothing_is_left_for_later, "@pytest.mark.skip\ndef test_f(): pass"),
    (rules.nothing_is_left_for_later, "time.sleep(1)"),
    (rules.names_no_machine, "see /{}/voicecore".format("home/somebody")),
    (rules.names_no_machine, "PATH = '/{}/x'".format("root")),
    (rules.every_test_can_fail, "def test_f():\n    f()"),
    (rules.every_test_can_fail, "async def test_f():\n    await f()"),
    (rules.nothing_is_left_to_luck, "delay_s = random.uniform(0, 1)"),
    (rules.nothing_is_left_to_luck, "chance = random.Random()"),
    (rules.nothing_is_left_to_luck, "@settings(max_examples=60)\ndef test_f(): check_f()"),
]

KEPT: list[tuple[Rule, str]] = [
    (rules.clock_only_in_its_places, "def f(world):\n    return world.now() + times.total"),
    (rules.clock_only_in_its_places, "from datetime import datetime"),
    (rules.chance_only_in_its_places, "from voicecore.secrets import Secret\nworld.random.uniform(0, 1)"),
    (rules.files_only_in_their_places, "async def f(world):\n    await world.files.write_whole(path, data)"),
    (rules.print_only_in_its_places, "printable('x')"),
    (rules.no_probes, "isinstance(x, int)"),
    (rules.no_unbounded_queue, "trio.open_memory_channel[int](LIMIT)"),
    (
        rules.no_unbounded_queue,
        "a = deque(maxlen=8)\nb = deque([], 8)\nc = deque()  # at most LIMIT, see f\nd = deque(b)",
    ),
    (rules.no_detached_task, f"async def f():\n    {OPENED}nursery.start_soon(g)"),
    (rules.no_detached_task, f"async def f():\n    {OPENED}await nursery.start(g)"),
    (rules.no_detached_task, "async def f(nursery: trio.Nursery):\n    nursery.start_soon(g)"),
    (rules.no_detached_task, f"async def f():\n    {OPENED}def g(): nursery.start_soon(h)"),
    (
        rules.no_detached_task,
        "class A:\n  def __init__(self, n: trio.Nursery): self._n = n\n  def f(self): self._n.start_soon(g)",
    ),
    (rules.no_wide_catch, "try: f()\nexcept (OSError, ValueError): pass"),
    (rules.no_wide_catch, "try: f()\nexcept BaseException as broken:\n    note(broken)\n    raise"),
    (rules.at_most_one_changing_boolean, "class A:\n  def f(self): self.a = True\n  def g(self): self.a = False"),
    (
        rules.at_most_one_changing_boolean,
        "class A:\n  def __init__(self): self.a = True; self.b = False\n  def f(self): self.a = False",
    ),
    (
        rules.secrets_are_hidden,
        "class A:\n  auth_token: Secret\n  token_s: float\n  token: str = attrs.field(repr=False)",
    ),
    (rules.opens_with_a_docstring, '"""What it is for."""'),
    (rules.opens_with_a_docstring, ""),
    (rules.stays_small, LONG.replace("x = 1", "", 1)[: -len("    x = 1\n")]),
    (rules.nothing_is_left_for_later, "x = 'later'  # why it is so"),
    (rules.names_no_machine, "see docs/design/0001-layers-and-machines.md and https://host/home"),
    (rules.every_test_can_fail, "def test_f():\n    assert f()\ndef test_g():\n    with pytest.raises(E): g()"),
    (rules.every_test_can_fail, "def test_f():\n    check_everything()\ndef helper(): pass"),
    (rules.nothing_is_left_to_luck, "chance = random.Random(7)\ndelay_s = chance.uniform(0, 1)\nsettings(base_url)"),
    (rules.nothing_is_left_to_luck, "@examples(60)\ndef test_f(): check_f()"),
]


@pytest.mark.parametrize(("rule", "offence"), BROKEN)
def test_the_rule_finds_an_offence(rule: Rule, offence: str) -> None:
    """Every rule can fail: here is one way."""
    assert findings(rule, [Source("engine/offence.py", offence)])


@pytest.mark.parametrize(("rule", "fine"), KEPT)
def test_the_rule_leaves_good_code_alone(rule: Rule, fine: str) -> None:
    """And it does not cry without cause."""
    assert findings(rule, [Source("engine/fine.py", fine)]) == []


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (rules.clock_only_in_its_places, "world.py", "import time"),
        (rules.chance_only_in_its_places, "simulation/world.py", "import random"),
        (rules.files_only_in_their_places, "disk.py", "import os"),
        (rules.print_only_in_its_places, "cli/main.py", "print(1)"),
        (rules.no_wide_catch, "engine/fact_dispatcher.py", "try: f()\nexcept Exception: log()"),
    ],
)
def test_a_named_place_is_excepted_and_nothing_beside_it(rule: Rule, path: str, text: str) -> None:
    """The exception ends where the place ends."""
    assert findings(rule, [Source(path, text)]) == []
    beside = re.sub(r"^", "turns/", path)
    assert findings(rule, [Source(beside, text)])


def test_not_even_a_boundary_catches_cancellation() -> None:
    """A swallowed cancellation is a call that cannot be ended."""
    assert findings(rules.no_wide_catch, [Source("engine/fact_dispatcher.py", "try: f()\nexcept BaseException: log()")])


def test_every_rule_has_an_offence_above() -> None:
    """A new rule comes with a proof that it can fail, and one that it can pass."""
    every = {*rules.PACKAGE_RULES, *rules.TEST_RULES, *rules.PYTHON_RULES, *rules.TEXT_RULES}
    assert every == {rule for rule, _ in BROKEN} == {rule for rule, _ in KEPT}
