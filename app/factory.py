"""Makes the WSGI application: configuration → services → blueprints."""

from __future__ import annotations

import os
from collections.abc import Mapping

import flask

from app import management
from app.api import anthropic, gemini, health, openai
from app.api.dispatch import LightDispatch
from app.api.http import ClientApi, install_errors
from app.config.environment import config_path
from app.services import Services


def create_app(environ: Mapping[str, str] | None = None) -> flask.Flask:
    """Build the application.

    ``app.extensions["services"]`` holds the long-lived objects, for the server's hooks.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    environ = os.environ if environ is None else environ
    services = Services(config_path(environ), environ)
    app = flask.Flask(__name__, static_folder=None)
    app.extensions["services"] = services
    api = ClientApi(services)
    for part in (openai, anthropic, gemini, health):
        app.register_blueprint(part.blueprint(api))
    app.register_blueprint(management.blueprint(services), url_prefix="/v0/management")
    install_errors(app)
    app.wsgi_app = LightDispatch(app, app.wsgi_app)  # type: ignore[method-assign,arg-type]  # Flask's own way to wrap
    return app
