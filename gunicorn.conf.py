"""How gunicorn serves the gateway; read by ``aiproxyapi run`` and by plain ``gunicorn``.

Only the configuration is read here. The application is loaded by the workers, so that the master,
which does nothing but watch over them, stays small.
"""

from gevent import monkey

monkey.patch_all()  # before anything imports ssl or socket

import logging  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from app.config.environment import config_path, with_dotenv  # noqa: E402
from app.config.load import load  # noqa: E402
from app.config.paths import pid_file  # noqa: E402
from app.config.schema import Config  # noqa: E402
from app.errors import ConfigError  # noqa: E402
from app.worker import GRACE_MARGIN_S  # noqa: E402


def _load() -> Config:
    try:
        os.environ.update(with_dotenv(os.environ, Path()))
        return load(config_path(os.environ), os.environ).config
    except ConfigError as error:
        sys.stderr.write("".join(f"{line}\n" for line in (error, *getattr(error, "__notes__", ()))))
        sys.exit(2)


_config = _load()
Path(_config.data_dir).mkdir(mode=0o700, parents=True, exist_ok=True)  # for the PID file
_host = _config.host or "0.0.0.0"  # noqa: S104  all interfaces is what an empty host means

bind = f"[{_host}]:{_config.port}" if ":" in _host else f"{_host}:{_config.port}"
workers = _config.workers or os.cpu_count() or 1
worker_class = "app.worker.GatewayWorker"
worker_connections = _config.worker_connections
backlog = 4096
keepalive = 75
timeout = 120
graceful_timeout = max(1, int(_config.shutdown_timeout)) + GRACE_MARGIN_S
limit_request_line = 8190
limit_request_fields = 200
limit_request_field_size = 16380
errorlog = "-"
control_socket_disable = True  # the PID file and signals are all that steers the server
loglevel = "debug" if _config.debug else "warning"
pidfile = str(pid_file(_config.data_dir))
forwarded_allow_ips = ",".join(_config.trusted_proxies) or "127.0.0.1"
if _config.tls.enable:
    certfile = _config.tls.cert
    keyfile = _config.tls.key


def on_starting(server: Any) -> None:
    """Make room for two descriptors a stream, and prepare what the workers inherit."""
    _raise_descriptor_limit()
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="time=%(asctime)s level=%(levelname)s pid=%(process)d logger=%(name)s %(message)s",
    )
    _create_database()


def when_ready(server: Any) -> None:
    """Say where the gateway listens; let SIGHUP read the configuration again."""
    from app.worker import forward_reload

    forward_reload(server)
    scheme = "https" if _config.tls.enable else "http"
    sys.stderr.write(f"AIProxyAPI listens on {scheme}://{bind} with {workers} worker(s)\n")


def post_worker_init(worker: Any) -> None:
    """Open what a worker needs, after the fork."""
    worker.wsgi.extensions["services"].start()


def worker_exit(server: Any, worker: Any) -> None:
    """Write what waits."""
    application = getattr(worker, "wsgi", None)
    if application is not None:
        application.extensions["services"].stop()


def _create_database() -> None:
    """Make a new SQLite database in a process of its own.

    A worker would do it as well, and then keep 10 MB of migration code for the rest of its life.
    """
    if _config.database_url or (Path(_config.data_dir) / "aiproxyapi.db").exists():
        return
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        from app.storage import prepare

        prepare("", Path(_config.data_dir))
    finally:
        os._exit(0)  # a failure is met again, and told, by the first worker


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _config.worker_connections + 256
    if soft < wanted:
        ceiling = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, ceiling), hard))
