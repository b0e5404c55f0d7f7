"""The rules that a reader would otherwise have to remember, each as a function over one source text.

A rule yields a `Finding` for each place that breaks it. Rules read the syntax
tree, so that they cannot be led astray by strings and comments; where an exact
answer would need the whole program they take the nearest checkable one and
say so.

The places that a rule excepts are constants at the top: changing one is
changing the rules.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

import attrs

FILE_LIMIT_LINES = 500
FUNCTION_LIMIT_LINES = 70

# Paths, or folders of paths, below voicecore/ where a thing is at home.
CLOCK_PLACES = ("world.py", "net/", "assembly.py", "simulation/", "bench/", "disk.py")
CHANCE_PLACES = ("world.py", "net/", "assembly.py", "simulation/", "bench/")
FILE_PLACES = ("disk.py", "net/", "config/reading.py", "sessions.py", "cli/", "bench/", "simulation/")
PRINT_PLACES = ("cli/", "bench/", "simulation/openai_realtime/__main__.py")
WIDE_CATCH_PLACES = (
    "net/websocket/trio_ws.py",  # a library's tasks
    "net/http/server.py",
    "engine/boundary.py",
    "engine/choosing.py",
    "engine/fact_dispatcher.py",
    "engine/parking/parked_session.py",
    "turns/barge_in/policy.py",
)
INTERRUPT_PLACES = ("cli/main.py", "bench/main.py", "simulation/openai_realtime/__main__.py")  # where a program ends
LUCK_PLACES = ("voicecore_tests/chance.py",)

_CLOCK = {"time", "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "trio.current_time"}
_CHANCE = {"random", "secrets", "uuid"}
_FILES = {"os", "shutil", "tempfile", "open", "io.open", "trio.open_file", "trio.Path"}
_FILE_METHODS = {
    "mkdir",
    "open",
    "read_bytes",
    "read_text",
    "rename",
    "rmdir",
    "touch",
    "unlink",
    "write_bytes",
    "write_text",
}
_PROBES = {"getattr", "hasattr", "setattr", "delattr"}
_DETACHED = {"spawn_system_task", "create_task", "ensure_future", "Thread", "start_thread_soon", "run_in_executor"}
_SECRET_NAME = re.compile(r"(^|_)(secret|token|password|passphrase|api_key|credentials?|auth_header)$")
_NOT_SECRET = {
    "LogProb.token",  # a piece of a word
    "ResponseCreate.request_token",  # names one of our requests to a provider; it opens nothing
}
_OF_HYPOTHESIS = {"database", "deadline", "derandomize", "max_examples", "stateful_step_count"}
_PLAIN_TYPES = {"str", "bytes", "object", "Any"}
_MARKERS = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b")  # written so that a search for them does not end here
_MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|work|Users)/\w|[A-Z]:\\Users")

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@attrs.frozen
class Finding:
    """One place that breaks a rule."""

    line: int
    what: str


@attrs.frozen(slots=False)
class Source:
    """A source text and its path: below ``voicecore/``, or below the repository for tests."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the tree: many rules walk it."""
        return list(ast.walk(self.tree))

    @cached_property
    def lines(self) -> list[str]:
        """The lines, the first at 0."""
        return self.text.splitlines()

    def calls(self) -> Iterator[tuple[ast.Call, str]]:
        """Yield each call with the dotted name of what it calls ("" when that is no name)."""
        return ((node, dotted(node.func)) for node in self.nodes if isinstance(node, ast.Call))

    def functions(self) -> Iterator[_Function]:
        """Yield every function and method."""
        return (node for node in self.nodes if isinstance(node, _Function))

    def classes(self) -> Iterator[ast.ClassDef]:
        """Yield every class."""
        return (node for node in self.nodes if isinstance(node, ast.ClassDef))

    def stands_in(self, places: Iterable[str]) -> bool:
        """Whether the file is one of the places, or lies in one of their folders."""
        return any(self.path == place or (place.endswith("/") and self.path.startswith(place)) for place in places)


Rule = Callable[[Source], Iterator[Finding]]


def dotted(node: ast.AST) -> str:
    """Return the dotted name that a node spells, "" when it spells none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Subscript):  # a generic: deque[int]
        return dotted(node.value)
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


# --- what reaches outside ---------------------------------------------------------


def clock_only_in_its_places(source: Source) -> Iterator[Finding]:
    """Time comes from `World.now()` and `World.wall_clock`."""
    if not source.stands_in(CLOCK_PLACES):
        yield from _outside(source, _CLOCK, "a clock")


def chance_only_in_its_places(source: Source) -> Iterator[Finding]:
    """Randomness, ids and tokens come from the World."""
    if not source.stands_in(CHANCE_PLACES):
        yield from _outside(source, _CHANCE, "randomness")


def files_only_in_their_places(source: Source) -> Iterator[Finding]:
    """Files are reached through `World.files`; a method that is named like pathlib's counts as pathlib's."""
    if source.stands_in(FILE_PLACES):
        return
    yield from _outside(source, _FILES, "a file")
    for call, _ in source.calls():
        if isinstance(call.func, ast.Attribute) and call.func.attr in _FILE_METHODS:
            yield Finding(call.lineno, f"a file: .{call.func.attr}()")


def print_only_in_its_places(source: Source) -> Iterator[Finding]:
    """Only the command line prints; everything else notifies observers or logs."""
    if not source.stands_in(PRINT_PLACES):
        for call, name in source.calls():
            if name in {"print", "sys.stdout.write", "sys.stderr.write"}:
                yield Finding(call.lineno, name)


def _outside(source: Source, names: set[str], what: str) -> Iterator[Finding]:
    """Find imports of a module, and calls of a dotted name or of anything in a module."""
    for node in source.nodes:
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names if alias.name.partition(".")[0] in names]
        elif isinstance(node, ast.ImportFrom):
            found = [node.module or ""] if (node.module or "").partition(".")[0] in names and not node.level else []
            found += [f"{node.module}.{alias.name}" for alias in node.names if f"{node.module}.{alias.name}" in names]
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            found = [name] if any(name == known or name.endswith(f".{known}") for known in names if known) else []
        else:
            continue
        yield from (Finding(node.lineno, f"{what}: {name}") for name in found)


# --- how things are held together -------------------------------------------------------


def no_probes(source: Source) -> Iterator[Finding]:
    """Types say what an object can do; attributes are not probed."""
    for call, name in source.calls():
        if name in _PROBES:
            yield Finding(call.lineno, name)


def no_unbounded_queue(source: Source) -> Iterator[Finding]:
    """A memory channel has a finite size; an empty new deque has a maxlen, or a comment on its bound."""
    for call, name in source.calls():
        last = name.rpartition(".")[2]
        if last == "open_memory_channel" and (not call.args or _is_infinite(call.args[0])):
            yield Finding(call.lineno, "a memory channel without a bound")
        elif last == "deque" and _begins_empty(call) and not _is_commented(source, call.lineno):
            yield Finding(call.lineno, "a deque without maxlen and without a comment that says what bounds it")
        elif last in {"Queue", "SimpleQueue", "LifoQueue"}:
            yield Finding(call.lineno, f"{name}: use a memory channel")


def _is_infinite(node: ast.AST) -> bool:
    text = ast.unparse(node)
    return text in {"math.inf", "inf"} or text.replace('"', "'") == "float('inf')"


def _begins_empty(call: ast.Call) -> bool:
    """Whether a deque starts without content and without a maxlen."""
    filled = call.args and ast.unparse(call.args[0]) not in {"[]", "()"}
    return not filled and len(call.args) < 2 and not any(keyword.arg == "maxlen" for keyword in call.keywords)


def _is_commented(source: Source, line: int) -> bool:
    own, above = source.lines[line - 1], source.lines[max(0, line - 2)]
    return "#" in own or above.lstrip().startswith("#")


def no_detached_task(source: Source) -> Iterator[Finding]:
    """A task is started in a nursery that its user can see.

    That is one opened in the same function (or one around it), one that came as
    an argument, or one that the object got when it was made.
    """
    for call, name in source.calls():
        if name.rpartition(".")[2] in _DETACHED:
            yield Finding(call.lineno, f"{name} starts something that nobody holds")
    yield from _detached(source.tree, frozenset(), frozenset())


def _detached(node: ast.AST, nurseries: frozenset[str], owned: frozenset[str]) -> Iterator[Finding]:
    """Walk down with the names of nurseries that are in sight."""
    if isinstance(node, ast.ClassDef):
        owned = frozenset(_given_nurseries(node))
    if isinstance(node, _Function):
        nurseries |= {arg.arg for arg in _arguments(node) if _is_nursery(arg.annotation)}
        nurseries |= {name for inner in ast.walk(node) for name in _opened(inner)}
    if isinstance(node, ast.Attribute) and node.attr in {"start_soon", "start"}:
        holder = dotted(node.value)
        certain = node.attr == "start_soon" or "nursery" in holder
        if certain and holder not in nurseries and holder not in owned:
            yield Finding(node.lineno, f"{ast.unparse(node)}: not a nursery that was opened here or handed in")
    for child in ast.iter_child_nodes(node):
        yield from _detached(child, nurseries, owned)


def _opened(node: ast.AST) -> Iterator[str]:
    """Yield the name that an ``async with … as name`` gives to a nursery."""
    if isinstance(node, ast.AsyncWith):
        for item in node.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and dotted(call.func).endswith("_nursery") and item.optional_vars:
                yield dotted(item.optional_vars)


def _given_nurseries(node: ast.ClassDef) -> Iterator[str]:
    """Yield ``self.x`` for each nursery that a class gets when it is made: by __init__ or as an attrs field."""
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and _is_nursery(statement.annotation):
            yield f"self.{dotted(statement.target)}"
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            given = {arg.arg for arg in _arguments(statement) if _is_nursery(arg.annotation)}
            for inner in ast.walk(statement):
                if isinstance(inner, ast.Assign) and dotted(inner.value) in given:
                    yield from (dotted(target) for target in inner.targets)


def _arguments(node: _Function) -> list[ast.arg]:
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


def _is_nursery(annotation: ast.AST | None) -> bool:
    return annotation is not None and "Nursery" in ast.unparse(annotation)


def no_wide_catch(source: Source) -> Iterator[Finding]:
    """Wide catches are at the named boundaries only, and cancellation is never swallowed.

    A handler that ends by raising keeps nothing.
    """
    wide = {"Exception", "BaseException", "ExceptionGroup", "BaseExceptionGroup"}
    for node in source.nodes:
        if isinstance(node, ast.ExceptHandler) and not _raises_on(node):
            caught = {"BaseException"} if node.type is None else _caught(node.type)
        elif isinstance(node, ast.Call) and dotted(node.func).endswith("suppress"):
            caught = {name for argument in node.args for name in _caught(argument)}
        else:
            continue
        if source.stands_in(INTERRUPT_PLACES):
            caught -= {"KeyboardInterrupt"}
        if caught & {"trio.Cancelled", "Cancelled", "KeyboardInterrupt", "BaseException"}:
            yield Finding(node.lineno, "catches cancellation")
        elif caught & wide and not source.stands_in(WIDE_CATCH_PLACES):
            yield Finding(node.lineno, f"catches {', '.join(sorted(caught & wide))}")


def _raises_on(handler: ast.ExceptHandler) -> bool:
    leaves = any(isinstance(node, ast.Return | ast.Continue | ast.Break) for node in ast.walk(handler))
    return isinstance(handler.body[-1], ast.Raise) and not leaves


def _caught(node: ast.AST) -> set[str]:
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return {dotted(part) for part in parts}


def at_most_one_changing_boolean(source: Source) -> Iterator[Finding]:
    """A class with several booleans that change is a state machine without its states: use an enum."""
    for node in source.classes():
        names = {name for name, method in _boolean_assignments(node) if method != "__init__"}
        if len(names) > 1:
            yield Finding(node.lineno, f"{node.name} changes {', '.join(sorted(names))}")


def _boolean_assignments(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Yield ("self.x", method) for each assignment to an attribute that is a boolean."""
    assigned = [
        (dotted(target), method.name, statement.value)
        for method in node.body
        if isinstance(method, _Function)
        for statement in ast.walk(method)
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
    ]
    booleans = {name for name, _, value in assigned if name.startswith("self.") and _is_boolean(value)}
    return ((name, method) for name, method, _ in assigned if name in booleans)


def _is_boolean(node: ast.AST | None) -> bool:
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not)
    return isinstance(node, ast.Constant) and isinstance(node.value, bool)


def secrets_are_hidden(source: Source) -> Iterator[Finding]:
    """A field that is named like a secret is a `Secret`, or is kept out of the repr.

    Looks at class bodies, where attrs reads its fields; the name decides.
    """
    for node in source.classes():
        if any("Protocol" in dotted(base) for base in node.bases):
            continue
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign) and _SECRET_NAME.search(dotted(statement.target)):
                name = f"{node.name}.{dotted(statement.target)}"
                words = set(re.findall(r"\w+", ast.unparse(statement.annotation)))
                if words & _PLAIN_TYPES and name not in _NOT_SECRET and not _hides(statement.value):
                    yield Finding(statement.lineno, f"{name} would be shown")


def _hides(value: ast.AST | None) -> bool:
    return isinstance(value, ast.Call) and any(
        keyword.arg == "repr" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is True)
        for keyword in value.keywords
    )


# --- how it reads -------------------------------------------------------------------


def opens_with_a_docstring(source: Source) -> Iterator[Finding]:
    """Every module says what it is for; an empty file has nothing to say."""
    if source.text.strip() and not ast.get_docstring(source.tree):
        yield Finding(1, "no docstring")


def stays_small(source: Source) -> Iterator[Finding]:
    """Files and functions fit into a head."""
    if len(source.lines) > FILE_LIMIT_LINES:
        yield Finding(FILE_LIMIT_LINES + 1, f"{len(source.lines)} lines")
    for node in source.functions():
        size = (node.end_lineno or node.lineno) - node.lineno + 1
        if size > FUNCTION_LIMIT_LINES:
            yield Finding(node.lineno, f"{node.name} has {size} lines")


def nothing_is_left_for_later(source: Source) -> Iterator[Finding]:
    """No reminders in comments, no stubs, no tests that are switched off, no sleeping in real time."""
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.COMMENT and _MARKERS.search(token.string):
            yield Finding(token.start[0], token.string)
    unwanted = {"NotImplementedError", "pytest.skip", "pytest.xfail", "pytest.mark.skip", "pytest.mark.skipif"}
    unwanted |= {"pytest.mark.xfail", "time.sleep"}
    for node in source.nodes:
        if isinstance(node, ast.Name | ast.Attribute) and dotted(node) in unwanted:
            yield Finding(node.lineno, dotted(node))


def names_no_machine(source: Source) -> Iterator[Finding]:
    """No path of a particular machine; works on any text, also documentation."""
    for number, line in enumerate(source.lines, 1):
        if _MACHINE_PATH.search(line):
            yield Finding(number, line.strip())


def every_test_can_fail(source: Source) -> Iterator[Finding]:
    """A test asserts, expects an exception, or runs a check or a state machine."""
    for node in source.functions():
        if node.name.startswith("test_") and not any(_judges(inner) for inner in ast.walk(node)):
            yield Finding(node.lineno, f"{node.name} asserts nothing")


def _judges(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return True
    last = dotted(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
    return last in {"raises", "warns", "RaisesGroup", "run_state_machine_as_test"} or last.startswith(
        ("check_", "assert_")
    )


def nothing_is_left_to_luck(source: Source) -> Iterator[Finding]:
    """A test draws from a generator with a seed, and says how many examples it wants by `chance.examples`."""
    if source.stands_in(LUCK_PLACES):
        return
    for call, name in source.calls():
        seeded = name == "random.Random" and (call.args or call.keywords)
        if name.partition(".")[0] in _CHANCE and not seeded:
            yield Finding(call.lineno, f"{name}: draw from random.Random(seed)")
        elif name.endswith("settings") and {keyword.arg for keyword in call.keywords} & _OF_HYPOTHESIS:
            yield Finding(call.lineno, f"{name}: say it by examples(), so that `make fuzz` can try more")


PACKAGE_RULES: tuple[Rule, ...] = (
    clock_only_in_its_places,
    chance_only_in_its_places,
    files_only_in_their_places,
    print_only_in_its_places,
    no_probes,
    no_unbounded_queue,
    no_detached_task,
    no_wide_catch,
    at_most_one_changing_boolean,
    secrets_are_hidden,
)
TEST_RULES: tuple[Rule, ...] = (every_test_can_fail, nothing_is_left_to_luck)
PYTHON_RULES: tuple[Rule, ...] = (opens_with_a_docstring, stays_small, nothing_is_left_for_later)
TEXT_RULES: tuple[Rule, ...] = (names_no_machine,)
