"""Tools of a session configuration: functions, remote servers (MCP), and the tool choice.

Rule 1: a function tool is flat, not nested under a ``function`` key.
Rule 2: credentials of a remote server (authorization, headers) are `Secret` until
they are sent.

Facts: OpenAI Realtime, section session object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import attrs

from voicecore.errors import ConfigError
from voicecore.secrets import Secret
from voicecore.wire.openai_realtime import checks
from voicecore.wire.openai_realtime.parts import Part


def _copied_parameters(given: Mapping[str, object]) -> Mapping[str, object]:
    return checks.json_copy("tools.parameters", given)


def _secret_headers(headers: Mapping[str, str | Secret]) -> dict[str, Secret]:
    return {name: Secret(value) for name, value in headers.items()}


@attrs.frozen(kw_only=True)
class FunctionTool(Part):
    """A function that we run when the model calls it."""

    wire_type: ClassVar = "function"

    name: str = attrs.field(validator=checks.text("tools.name"))
    description: str = attrs.field(default="", validator=checks.any_text("tools.description"))
    """What it does and when to use it, for the model."""
    parameters: Mapping[str, object] = attrs.field(
        factory=lambda: {"type": "object", "properties": {}},
        converter=_copied_parameters,
        repr=False,
    )
    """JSON Schema of the arguments; a copy is kept."""


@attrs.frozen(kw_only=True)
class McpTool(Part):
    """The tools of a remote server, which the provider calls by itself."""

    wire_type: ClassVar = "mcp"

    server_label: str = attrs.field(validator=checks.text("tools.server_label"))
    server_url: str | None = attrs.field(
        default=None, repr=False, validator=checks.optional(checks.text("tools.server_url"))
    )
    connector_id: str | None = attrs.field(default=None, validator=checks.optional(checks.text("tools.connector_id")))
    tunnel_id: str | None = attrs.field(default=None, validator=checks.optional(checks.text("tools.tunnel_id")))
    authorization: Secret | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(Secret),
        validator=checks.optional(checks.secret("tools.authorization")),
    )
    headers: Mapping[str, Secret] | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(_secret_headers),
        validator=checks.optional(checks.by_name(checks.text("tools.headers"), checks.secret("tools.headers"))),
    )
    allowed_tools: tuple[str, ...] | None = attrs.field(
        default=None,
        validator=checks.optional(checks.many("tools.allowed_tools", checks.text("tools.allowed_tools"))),
    )
    """None: all of them."""
    require_approval: Literal["always", "never"] | None = attrs.field(
        default=None, validator=checks.optional(checks.one_of("tools.require_approval", ("always", "never")))
    )

    def __attrs_post_init__(self) -> None:
        ways = [each for each in (self.server_url, self.connector_id, self.tunnel_id) if each is not None]
        if len(ways) != 1:
            raise ConfigError("tools.server_url", "exactly one of server_url, connector_id and tunnel_id must be given")


Tool = FunctionTool | McpTool


@attrs.frozen
class ChosenFunction(Part):
    """The model must call this function."""

    wire_type: ClassVar = "function"

    name: str = attrs.field(validator=checks.text("tool_choice.name"))


@attrs.frozen
class ChosenMcp(Part):
    """The model must use this server, or this tool of it."""

    wire_type: ClassVar = "mcp"

    server_label: str = attrs.field(validator=checks.text("tool_choice.server_label"))
    name: str | None = attrs.field(default=None, validator=checks.optional(checks.text("tool_choice.name")))


ToolChoice = Literal["none", "auto", "required"] | ChosenFunction | ChosenMcp

TOOL_CHOICE: checks.Check = checks.either(
    checks.kind("tool_choice", ChosenFunction, ChosenMcp),
    checks.one_of("tool_choice", ("none", "auto", "required")),
)


def tool_key(tool: Tool) -> tuple[str, str]:
    """Return a tool's identity: its kind and its name or label."""
    return ("function", tool.name) if isinstance(tool, FunctionTool) else ("mcp", tool.server_label)
