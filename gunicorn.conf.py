"""How gunicorn serves the gateway; read by ``aiproxyapi run`` and by plain ``gunicorn``."""

from gevent import monkey

monkey.patch_all()  # before anything imports ssl or socket

import logging  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from app.config.load import load  # noqa: E402
from app.errors import ConfigError  # noqa: E402
from app.factory import config_path  # noqa: E402
from app.worker import GatewayWorker, forward_reload  # noqa: E402

try:
    _config = load(config_path(os.environ), os.environ).config
except ConfigError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(2)

bind = f"{_config.host or '0.0.0.0'}:{_config.port}"  # noqa: S104  the operator's choice
workers = _config.workers or os.cpu_count() or 1
worker_class = GatewayWorker
worker_connections = _config.worker_connections
backlog = 4096
keepalive = 75
timeout = 120
graceful_timeout = max(1, int(_config.shutdown_timeout))
preload_app = True
limit_request_line = 8190
limit_request_fields = 200
limit_request_field_size = 16380
errorlog = "-"
loglevel = "debug" if _config.debug else "warning"
pidfile = str(Path(_config.data_dir) / "aiproxyapi.pid")
forwarded_allow_ips = ",".join(_config.trusted_proxies) or "127.0.0.1"
if _config.tls.enable:
    certfile = _config.tls.cert
    keyfile = _config.tls.key


def on_starting(server: Any) -> None:
    """Make room for two descriptors a stream, and bring the database up to date."""
    _raise_descriptor_limit()
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="time=%(asctime)s level=%(levelname)s pid=%(process)d logger=%(name)s %(message)s",
    )
    from app.storage import prepare

    prepare(_config.database_url, Path(_config.data_dir))


def when_ready(server: Any) -> None:
    """SIGHUP reads the configuration again; it must not end open streams."""
    forward_reload(server)


def post_worker_init(worker: Any) -> None:
    """Open what a worker needs, after the fork."""
    worker.wsgi.extensions["services"].start()


def worker_exit(server: Any, worker: Any) -> None:
    """Write what waits."""
    application = getattr(worker, "wsgi", None)
    if application is not None:
        application.extensions["services"].stop()


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _config.worker_connections + 256
    if soft < wanted:
        ceiling = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, ceiling), hard))
