"""The programs: how each is pointed at the gateway, kept offline and given its task."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.install import FOLDER

_BIN = FOLDER / "node_modules" / ".bin"


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a program runs and whom it talks to.

    Attributes:
        home: an empty folder that is its home.
        folder: where it works.
        url: the gateway without a path.
    """

    home: Path
    folder: Path
    url: str
    key: str
    model: str

    def write(self, name: str, value: Any) -> Path:
        """Put a file into the home; what is not text becomes JSON."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path


@dataclass(frozen=True, slots=True)
class Run:
    """A command line behind the program's name, and its variables."""

    arguments: tuple[str, ...]
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Program:
    """One program speaking one protocol.

    Attributes:
        command: its name among the installed ones.
        protocol: what it speaks, as the gateway's ledger has it.
        prepare: writes its settings and says how to run it with a prompt.
    """

    name: str
    command: str
    protocol: str
    prepare: Callable[[Seat, str], Run]

    @property
    def path(self) -> Path:
        """The installed program."""
        return _BIN / self.command


def _claude_code(seat: Seat, prompt: str) -> Run:
    names = ("OPUS", "SONNET", "HAIKU", "FABLE")
    models = {f"ANTHROPIC_DEFAULT_{name}_MODEL": seat.model for name in names}
    environ = {
        "ANTHROPIC_BASE_URL": seat.url,
        "ANTHROPIC_API_KEY": seat.key,
        "ANTHROPIC_SMALL_FAST_MODEL": seat.model,
        "CLAUDE_CODE_SUBAGENT_MODEL": seat.model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "IS_SANDBOX": "1",
    }
    model = ("--model", seat.model, "--output-format", "json")
    return Run(("-p", prompt, "--dangerously-skip-permissions", *model), environ | models)


_CODEX = """\
model = "{model}"
model_provider = "gateway"
check_for_update_on_startup = false

[model_providers.gateway]
name = "gateway"
base_url = "{url}/v1"
env_key = "GATEWAY_KEY"
wire_api = "responses"

[analytics]
enabled = false

[features]
plugins = false
apps = false
"""


def _codex(described_as: str = "") -> Callable[[Seat, str], Run]:
    """Codex, told that our model is like one it knows; without that it offers plain functions."""

    def prepare(seat: Seat, prompt: str) -> Run:
        config = _CODEX.format(model=seat.model, url=seat.url)
        if described_as:
            catalogue = seat.write("catalogue.json", _catalogue(seat, described_as))
            config = f"model_catalog_json = {json.dumps(str(catalogue))}\n{config}"
        seat.write(".codex/config.toml", config)
        free = ("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json")
        return Run(("exec", *free, prompt), {"GATEWAY_KEY": seat.key})

    return prepare


def _catalogue(seat: Seat, described_as: str) -> dict[str, Any]:
    """The entry of Codex's own catalogue, under our model's name."""
    listed = subprocess.run(
        [str(_BIN / "codex"), "debug", "models"],
        env={"PATH": os.environ["PATH"], "HOME": str(seat.home)},
        capture_output=True,
        timeout=30,
        check=True,
    )
    models = json.loads(listed.stdout)["models"]
    (found,) = (one for one in models if one["slug"] == described_as)
    return {"models": [{**found, "slug": seat.model}]}


def _quiet(auth: str) -> dict[str, Any]:
    """Settings of Gemini CLI and of its descendant."""
    return {
        "security": {"auth": {"selectedType": auth}},
        "telemetry": {"enabled": False},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False},
    }


def _gemini_cli(seat: Seat, prompt: str) -> Run:
    seat.write(".gemini/settings.json", _quiet("gemini-api-key"))
    environ = {"GOOGLE_GEMINI_BASE_URL": seat.url, "GEMINI_API_KEY": seat.key}
    allowed = ("--approval-mode", "yolo", "--skip-trust", "-o", "json")
    return Run(("-p", prompt, "-m", seat.model, *allowed), environ)


def _qwen(auth: str, prefix: str, base: str, suffix: str) -> Callable[[Seat, str], Run]:
    def prepare(seat: Seat, prompt: str) -> Run:
        seat.write(".qwen/settings.json", _quiet(auth))
        environ = {
            base: seat.url + suffix,
            f"{prefix}_API_KEY": seat.key,
            f"{prefix}_MODEL": seat.model,
        }
        allowed = ("--auth-type", auth, "--approval-mode", "yolo", "-o", "json")
        return Run(("-p", prompt, "-m", seat.model, *allowed), environ)

    return prepare


def _opencode(package: str, suffix: str) -> Callable[[Seat, str], Run]:
    def prepare(seat: Seat, prompt: str) -> Run:
        options = {"baseURL": seat.url + suffix, "apiKey": seat.key}
        provider = {"npm": package, "options": options, "models": {seat.model: {}}}
        chosen = f"gateway/{seat.model}"
        config = {
            "model": chosen,
            "small_model": chosen,
            "share": "disabled",
            "autoupdate": False,
            "provider": {"gateway": provider},
        }
        environ = {
            "OPENCODE_CONFIG": str(seat.write("opencode.json", config)),
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
            "OPENCODE_PURE": "1",
        }
        return Run(("run", prompt, "--format", "json", "--auto"), environ)

    return prepare


def _pi(api: str, suffix: str) -> Callable[[Seat, str], Run]:
    def prepare(seat: Seat, prompt: str) -> Run:
        model = {"id": seat.model, "reasoning": True}
        provider = {"baseUrl": seat.url + suffix, "api": api, "apiKey": "GATEWAY_KEY"}
        models = {"providers": {"gw": {**provider, "models": [model]}}}
        seat.write(".pi/agent/models.json", models)
        environ = {"GATEWAY_KEY": seat.key, "PI_OFFLINE": "1", "PI_TELEMETRY": "0"}
        chosen = ("--provider", "gw", "--model", seat.model)
        return Run(("-p", "--mode", "json", *chosen, prompt), environ)

    return prepare


def _programs() -> Iterator[Program]:
    chat, responses = "openai_chat", "openai_responses"
    messages, gemini = "anthropic_messages", "gemini_generate"
    yield Program("claude-code", "claude", messages, _claude_code)
    yield Program("codex", "codex", responses, _codex())
    yield Program("codex-patching", "codex", responses, _codex("gpt-5.5"))
    yield Program("codex-scripting", "codex", responses, _codex("gpt-6-sol"))
    yield Program("gemini-cli", "gemini", gemini, _gemini_cli)
    openai = ("OPENAI", "OPENAI_BASE_URL", "/v1")
    anthropic = ("ANTHROPIC", "ANTHROPIC_BASE_URL", "")
    google = ("GEMINI", "GOOGLE_GEMINI_BASE_URL", "")
    yield Program("qwen-chat", "qwen", chat, _qwen("openai", *openai))
    yield Program("qwen-responses", "qwen", responses, _qwen("openai-responses", *openai))
    yield Program("qwen-messages", "qwen", messages, _qwen("anthropic", *anthropic))
    yield Program("qwen-gemini", "qwen", gemini, _qwen("gemini", *google))
    compatible = _opencode("@ai-sdk/openai-compatible", "/v1")
    yield Program("opencode-chat", "opencode", chat, compatible)
    yield Program("opencode-responses", "opencode", responses, _opencode("@ai-sdk/openai", "/v1"))
    yield Program("opencode-messages", "opencode", messages, _opencode("@ai-sdk/anthropic", "/v1"))
    yield Program("opencode-gemini", "opencode", gemini, _opencode("@ai-sdk/google", "/v1beta"))
    yield Program("pi-chat", "pi", chat, _pi("openai-completions", "/v1"))
    yield Program("pi-responses", "pi", responses, _pi("openai-responses", "/v1"))
    yield Program("pi-messages", "pi", messages, _pi("anthropic-messages", ""))
    yield Program("pi-gemini", "pi", gemini, _pi("google-generative-ai", "/v1beta"))


PROGRAMS = tuple(_programs())
