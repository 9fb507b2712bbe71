"""What is found while a configuration is read: errors, warnings and their places."""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml
from typing_extensions import override

from app.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ConfigWarning:
    """Something in the configuration that does not stop the gateway.

    Attributes:
        file: where it was read, as the operator named it.
        line: 1-based, or None when the place is not known.
        key: dotted path such as ``openai-api-key[0].prefix``, empty for the whole file.
    """

    message: str
    file: str
    line: int | None = None
    key: str = ""

    @override
    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}"


@dataclass(slots=True)
class Report:
    """Collects all that is wrong, so that the operator need not start again for each mistake."""

    file: str
    errors: list[ConfigError] = field(default_factory=list)
    warnings: list[ConfigWarning] = field(default_factory=list)

    def error(self, message: str, node: yaml.Node | None, key: str) -> None:
        self.errors.append(ConfigError(message, file=self.file, line=line_of(node), key=key))

    def warn(self, message: str, node: yaml.Node | None, key: str) -> None:
        self.warnings.append(ConfigWarning(message, self.file, line_of(node), key))

    def raise_if_wrong(self) -> None:
        """Raise the first error in the order of the file; the others ride along as its notes.

        Raises:
            ConfigError: there was at least one.
        """
        if not self.errors:
            return
        self.errors.sort(key=lambda error: error.line or 0)
        first, *others = self.errors
        for other in others:
            first.add_note(str(other))
        raise first


def line_of(node: yaml.Node | None) -> int | None:
    """The 1-based line of a node; None for a value that came from elsewhere."""
    return None if node is None or node.start_mark is None else node.start_mark.line + 1
