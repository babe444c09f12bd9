"""The front door: it alone knows both packages, and makes each process of the service."""

import os
from collections.abc import Callable

from flask import Flask

import market.demo
import market.web
from market.live import Counters
from wallet import db, jobs
from wallet.config import Config
from wallet.demo import loading
from wallet.demo.people import CITIZENS
from wallet.live.app import Live
from wallet.web import app


def create_app(config: Config | None = None) -> Flask:
    """Make the web application; gunicorn calls it as `wsgi:create_app()`."""
    config = config or Config.from_env(os.environ)
    if not config.demo:
        database = db.engine(config.database_url, name="start")
        loading.refuse(database)
        database.dispose()
    return app.create(config, wings=[market.web.WING])


def create_worker(config: Config | None = None) -> jobs.Worker:
    """Make the worker, whose `run` ends when its event is set."""
    return jobs.Worker(config or Config.from_env(os.environ), payable=market.web.WING.targets)


def create_live(config: Config | None = None) -> Live:
    """Make the application of the process of streams; gunicorn calls it as `wsgi:create_live()`."""
    config = config or Config.from_env(os.environ)
    return Live(config, Counters(config.server_secret))


def load_demo(config: Config, *, log: Callable[[str], None], citizens: int = CITIZENS) -> None:
    """Load the demo city and its market, as `wallet.demo.loading.load` says."""
    loading.load(config=config, log=log, citizens=citizens, more=[market.demo.enter])
