"""What the package shows of itself: no signature, no doc and no repr carries the environment or a secret."""

from __future__ import annotations

import importlib
import inspect
import io
import os
import pkgutil
import pydoc
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

import voicecore

PLANTED = "planted-in-the-environment-4c1e"
PROGRAM = """
import pkgutil, importlib, pydoc, voicecore
for found in pkgutil.walk_packages(voicecore.__path__, "voicecore."):
    if not found.name.endswith("__main__"):
        module = importlib.import_module(found.name)
        print(pydoc.plain(pydoc.render_doc(module)))
print(pydoc.plain(pydoc.render_doc(voicecore)))
print(pydoc.plain(pydoc.render_doc(voicecore.open_session)))
"""


def modules() -> Iterator[ModuleType]:
    yield voicecore
    for found in pkgutil.walk_packages(voicecore.__path__, "voicecore."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def callables(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Everything that can be called and is defined in a module, methods too."""
    for name, value in vars(module).items():
        if callable(value) and getattr(value, "__module__", None) == module.__name__:
            yield f"{module.__name__}.{name}", value
            if inspect.isclass(value):
                for inner, method in vars(value).items():
                    if callable(method):
                        yield f"{module.__name__}.{name}.{inner}", method


def defaults(value: object) -> Iterator[object]:
    try:
        signature = inspect.signature(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return  # an exception type, an enum: nothing of ours to look at
    yield from (parameter.default for parameter in signature.parameters.values())


def test_the_sweep_looks_at_what_it_should() -> None:
    """Functions, classes and methods of every module."""
    names = [name for module in modules() for name, _ in callables(module)]
    assert {"voicecore.sessions.open_session", "voicecore.engine.host.Host.dial"} <= set(names)
    assert len(names) > 1000


def test_no_default_argument_is_the_environment_or_holds_it() -> None:
    """A default is printed by `help`, and kept from the moment of the import."""
    entry = next(iter(os.environ.items()))
    for module in modules():
        for name, value in callables(module):
            for default in defaults(value):
                assert default is not os.environ, name
                assert not (isinstance(default, dict) and entry[0] in default), name


def test_help_on_everything_shows_no_secret_of_the_environment() -> None:
    """In a process of its own, whose environment has the keys under their own names and a stranger's."""
    secrets = dict.fromkeys(["OPENAI_API_KEY", "TWILIO_AUTH_TOKEN", "SOMEBODY_ELSES_PASSWORD"], PLANTED)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **secrets}, capture_output=True, text=True, check=True
    )
    assert "open_session(" in done.stdout
    assert PLANTED not in done.stdout + done.stderr


def test_help_on_one_function_shows_its_arguments_and_not_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`help(voicecore.open_session)`."""
    monkeypatch.setenv("OPENAI_API_KEY", PLANTED)
    text = io.StringIO()
    pydoc.Helper(output=text).help(voicecore.open_session)
    assert "environ: 'Mapping[str, str] | None' = None" in text.getvalue()
    assert PLANTED not in text.getvalue()


def test_no_public_value_shows_the_environment() -> None:
    """The reprs of a module's attributes."""
    entry = next(iter(os.environ.items()))
    for module in modules():
        for name, value in vars(module).items():
            if not name.startswith("__") and not inspect.ismodule(value):
                assert f"'{entry[0]}': '{entry[1]}'" not in repr(value), f"{module.__name__}.{name}"
