"""The first configuration: what a newcomer gets who has none."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from app.config.schema import Config
from app.errors import ConfigError

_TEMPLATE = """\
# The configuration of this gateway. A change takes effect within a second.
# config.example.yaml and docs/configuration.md show every setting.

# Only this machine is served. To serve others write "" (all interfaces) or an address.
host: 127.0.0.1
port: 8317

# The database and all else that the gateway keeps.
data-dir: {data_dir}

# Your clients present one of these keys.
api-keys:
  - "{client_key}"

remote-management:
  # The key of the management API and of the control panel.
  secret-key: "{management_key}"
  allow-remote: false

# Add a provider: take away the "# " and put your key in. As long as there is none, the built-in
# demo models answer: demo-echo, demo-tools, demo-thinking, demo-slow.

# openai-api-key:
#   - api-key: env://OPENAI_API_KEY

# claude-api-key:
#   - api-key: env://ANTHROPIC_API_KEY

# gemini-api-key:
#   - api-key: env://GEMINI_API_KEY

# openai-compatibility:
#   - name: my-provider
#     base-url: https://api.example.com/v1
#     api-key-entries:
#       - api-key: env://MY_PROVIDER_KEY
#     models:
#       - name: the-name-it-has-there
#         alias: the-name-my-clients-use
"""


@dataclass(frozen=True, slots=True)
class FirstKeys:
    """The keys of a configuration that has just been written; shown once."""

    client_key: str = field(repr=False)
    management_key: str = field(repr=False)


def write_first_config(path: Path, data_dir: str = "./data") -> FirstKeys:
    """Write a working configuration that only its owner can read.

    Args:
        path: where; nothing may be there yet.
        data_dir: what it says for ``data-dir``.

    Raises:
        FileExistsError: another process was faster, or something lies there.
        ConfigError: the directory cannot be written to.
    """
    # "sk-" and "mk-" tell the two apart at a glance; 36 bytes make 48 characters.
    keys = FirstKeys("sk-" + secrets.token_urlsafe(36), "mk-" + secrets.token_urlsafe(36))
    text = _TEMPLATE.format(
        data_dir=data_dir, client_key=keys.client_key, management_key=keys.management_key
    )
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise
    except OSError as error:
        message = f"does not exist and cannot be written: {error.strerror}"
        raise ConfigError(message, file=str(path)) from error
    with os.fdopen(handle, "w", encoding="utf-8") as target:
        target.write(text)
    return keys


def banner(config: Config, keys: FirstKeys, path: Path) -> str:
    """What is printed at the first start, and never again."""
    scheme = "https" if config.tls.enable else "http"
    root = f"{scheme}://{_reachable(config.host)}:{config.port}"
    return f"""\
This is the first start: a configuration was written to {path}

  Address          {root}
  Client key       {keys.client_key}
  Management       {root}/v0/management
  Management key   {keys.management_key}

Try it:

  curl {root}/v1/chat/completions \\
    -H "Authorization: Bearer {keys.client_key}" \\
    -H "Content-Type: application/json" \\
    -d '{{"model": "demo-echo", "messages": [{{"role": "user", "content": "Hello"}}]}}'

The keys are not shown again; they stand in {path}.
"""


def _reachable(host: str) -> str:
    """The host of a URL by which this machine reaches itself."""
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
