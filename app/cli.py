"""The ``aiproxyapi`` command. Imports are kept light: it stands before each start."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from typing_extensions import override

from app import __version__, clock
from app.config.environment import LOG_LEVEL, config_path, with_dotenv
from app.config.load import Loaded, load
from app.config.paths import pid_file, root_file
from app.errors import ConfigError, GatewayError

if TYPE_CHECKING:
    from app.accounting.ledger import GroupBy
    from app.config.bootstrap import FirstKeys

_DEFAULT_CONFIG = "config.yaml"
_WRONG_CONFIG = 2
_POLL_S = 0.1

_ONE_DASH = ("config", "host", "port", "workers", "log-level", "version", "help")
"""Options that older gateways took with a single dash."""


class _Main(click.Group):
    """A group that runs ``run`` when no subcommand is named, and reads older spellings."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        args = [_two_dashes(arg) for arg in args]
        own = {"--help", "-h", "--version"}
        if not args or (args[0].startswith("-") and args[0] not in own):
            args = ["run", *args]
        return super().parse_args(ctx, args)


def _two_dashes(arg: str) -> str:
    name = arg[1:].partition("=")[0]
    return f"-{arg}" if arg.startswith("-") and name in _ONE_DASH else arg


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="aiproxyapi")
def main() -> None:
    """One gateway in front of many AI accounts. Without a command it serves, as `run` does."""


_config_option = click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="The configuration file; config.yaml in the working directory if not given.",
)


# serving


@main.command()
@_config_option
@click.option("--host", help="Address to listen on, instead of the configured one.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Port to listen on.")
@click.option("--workers", type=click.IntRange(0, 1_024), help="Worker processes.")
@click.option(
    "--log-level",
    type=click.Choice(list(LOG_LEVEL.words), case_sensitive=False),
    help="`debug` logs more.",
)
def run(
    file: Path | None,
    host: str | None,
    port: int | None,
    workers: int | None,
    log_level: str | None,
) -> None:
    """Serve. Where there is no configuration yet, a working one is written first."""
    environ = _environment()
    options = {
        "AIPROXY_HOST": host,
        "AIPROXY_PORT": port,
        "AIPROXY_WORKERS": workers,
        "AIPROXY_LOG_LEVEL": log_level,
    }
    environ.update({name: str(value) for name, value in options.items() if value is not None})
    path = _chosen(file, environ)
    keys = _write_if_first(path)
    loaded = _load(path, environ)
    _make_private(Path(loaded.config.data_dir))
    if keys is not None:
        from app.config.bootstrap import banner

        click.echo(banner(loaded.config, keys, path))
    environ["AIPROXY_CONFIG"] = str(path.absolute())
    _serve(environ)


def _serve(environ: dict[str, str]) -> NoReturn:
    """Become gunicorn."""
    # -P keeps the working directory from being searched first. gunicorn would put it there
    # again, before our own package, unless it finds it on the path: so it stands at the end.
    ours = str(root_file("wsgi.py").parent)
    search = [ours, *filter(None, [environ.get("PYTHONPATH")]), str(Path.cwd())]
    environ["PYTHONPATH"] = os.pathsep.join(search)
    options = ["--config", str(root_file("gunicorn.conf.py")), "wsgi:application"]
    sys.stdout.flush()
    command = [sys.executable, "-P", "-m", "gunicorn", *options]
    os.execve(sys.executable, command, environ)  # noqa: S606 - no shell, our own program


def _write_if_first(path: Path) -> FirstKeys | None:
    """Write the first configuration where the default file is missing; None where none was.

    A file that was named and is not there is left missing: loading it says so.
    """
    if path.absolute() != Path(_DEFAULT_CONFIG).absolute() or os.path.lexists(path):
        return None
    from app.config.bootstrap import write_first_config

    try:
        return write_first_config(path)
    except FileExistsError:
        return None  # another process was faster: its file is the configuration
    except ConfigError as error:
        _refuse(error)


def _make_private(directory: Path) -> None:
    """Make the data directory, for its owner alone; one that is there stays as it is."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        click.echo(f"the data directory {directory} cannot be made: {error.strerror}", err=True)
        sys.exit(_WRONG_CONFIG)


@main.command()
@_config_option
def migrate(file: Path | None) -> None:
    """Bring the database up to date, without serving. A start does the same."""
    from app.storage import prepare  # heavy, and no other command's business

    environ = _environment()
    config = _load(_chosen(file, environ), environ).config
    try:
        prepare(config.database_url, Path(config.data_dir))
    except ConfigError as error:
        _refuse(error)
    except GatewayError as error:
        raise click.ClickException(error.message) from error
    click.echo("the database is up to date")


# configuration


@main.command("check-config")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("-c", "--config", "option", type=click.Path(path_type=Path), hidden=True)
def check_config(file: Path | None, option: Path | None) -> None:
    """Say what a start would say of FILE. Exits with 0 when it can be used, with 2 when not."""
    environ = _environment()
    path = _chosen(file or option, environ)
    loaded = _load(path, environ)
    count = len(loaded.warnings)
    remarks = "" if not count else f", with {count} warning{'s' if count > 1 else ''}"
    click.echo(f"{path}: can be used{remarks}")


@main.command("hash-password")
@click.option("--password", help="The password or key; asked for when not given.")
@click.option("--cost", type=click.IntRange(4, 20), default=12, show_default=True)
def hash_password(password: str | None, cost: int) -> None:
    """Print the bcrypt hash of a client key or of the management key."""
    import bcrypt

    if password is None:
        password = _ask_password()
    raw = password.encode()
    if not raw or len(raw) > 72:
        raise click.BadParameter("bcrypt takes 1 to 72 bytes.", param_hint="--password")
    click.echo(bcrypt.hashpw(raw, bcrypt.gensalt(cost)).decode())


def _ask_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


# a server that runs


_pid_option = click.option(
    "--pid-file",
    "pid_path",
    type=click.Path(path_type=Path),
    help="The file with the server's process id; aiproxyapi.pid in data-dir if not given.",
)


@main.command()
@_config_option
@_pid_option
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 86_400),
    default=35.0,
    show_default=True,
    help="Seconds open answers may take before the server is killed.",
)
def stop(file: Path | None, pid_path: Path | None, timeout: float) -> None:
    """Let open answers finish, then end the server. That none is running is no failure."""
    path = _pid_path(file, pid_path)
    pid = _server(path)
    if pid is None:
        click.echo(_not_running(path))
        return
    _signal(pid, signal.SIGTERM)
    deadline = clock.monotonic() + timeout
    while _is_server(pid):
        if clock.monotonic() >= deadline:
            _signal(pid, signal.SIGKILL)
            click.echo(f"killed (PID {pid}): it did not stop within {timeout:g} s")
            return
        clock.sleep(_POLL_S)
    click.echo(f"stopped (PID {pid})")


@main.command()
@_config_option
@_pid_option
def status(file: Path | None, pid_path: Path | None) -> None:
    """Say whether the server runs. Exits with 0 either way."""
    try:
        path = _pid_path(file, pid_path)
        pid = _server(path)
    except click.ClickException as error:
        click.echo(f"unknown: {error.message}")
        return
    click.echo(_not_running(path) if pid is None else f"running (PID {pid})")


@main.command()
@_config_option
@_pid_option
def reload(file: Path | None, pid_path: Path | None) -> None:
    """Have the server read its configuration again. Exits with 1 when none is running."""
    path = _pid_path(file, pid_path)
    pid = _server(path)
    if pid is None:
        click.echo(_not_running(path), err=True)
        sys.exit(1)
    _signal(pid, signal.SIGHUP)
    click.echo(f"told to reload (PID {pid})")


def _pid_path(file: Path | None, pid_path: Path | None) -> Path:
    if pid_path is not None:
        return pid_path
    environ = _environment()
    try:
        return pid_file(load(_chosen(file, environ), environ).config.data_dir)
    except ConfigError as error:
        message = f"{error}\nWhere the PID file lies is not known; name it with --pid-file."
        raise click.ClickException(message) from error


def _server(path: Path) -> int | None:
    """The process id of the running server; None when there is none.

    Raises:
        ClickException: the file cannot be read or holds no process id; ends with 1.
    """
    try:
        text = path.read_text("ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path} cannot be read: {error}") from error
    if not text.isdecimal() or not 1 < int(text) < 2**31:
        raise click.ClickException(f"{path} holds no process id")
    return int(text) if _is_server(int(text)) else None


def _is_server(pid: int) -> bool:
    """Whether the process lives and is a gateway: ids are given out again."""
    processes = Path("/proc")
    if (processes / "self" / "cmdline").exists():
        try:
            return b"gunicorn" in (processes / str(pid) / "cmdline").read_bytes()
        except OSError:
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's, and alive
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended by itself just now
    except PermissionError as error:
        message = f"the server (PID {pid}) belongs to somebody else"
        raise click.ClickException(message) from error


def _not_running(path: Path) -> str:
    return f"not running ({'stale' if path.exists() else 'no'} PID file {path})"


# what was recorded


@main.command()
@_config_option
@click.option(
    "--by",
    type=click.Choice(["key", "model", "provider", "day"]),
    default="model",
    show_default=True,
    help="What to sum for.",
)
@click.option("--since", metavar="D", help="First day, such as 2026-03-04 (UTC), or a moment.")
@click.option("--until", metavar="D", help="Last day, or the moment that ends the span.")
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
def usage(
    file: Path | None, by: GroupBy, since: str | None, until: str | None, as_json: bool
) -> None:
    """Print sums over all recorded calls."""
    from app.management.report import usage_of

    environ = _environment()
    config = _load(_chosen(file, environ), environ).config
    try:
        click.echo(usage_of(config, by, since, until, as_json=as_json))
    except ConfigError as error:
        _refuse(error)
    except GatewayError as error:
        click.echo(error.message, err=True)
        sys.exit(1)


# what several commands need


def _environment() -> dict[str, str]:
    try:
        return with_dotenv(os.environ, Path())
    except ConfigError as error:
        _refuse(error)


def _chosen(file: Path | None, environ: Mapping[str, str]) -> Path:
    """Command line before environment before the default."""
    return file if file is not None else config_path(environ)


def _load(path: Path, environ: Mapping[str, str]) -> Loaded:
    """Load and say what is to be said; ends the process when the file cannot be used."""
    try:
        loaded = load(path, environ)
    except ConfigError as error:
        _refuse(error)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    return loaded


def _refuse(error: ConfigError) -> NoReturn:
    for line in (str(error), *_notes(error)):
        click.echo(line, err=True)
    sys.exit(_WRONG_CONFIG)


def _notes(error: ConfigError) -> Sequence[str]:
    return getattr(error, "__notes__", ())


if __name__ == "__main__":
    main()
