"""The city of this checkout: which database, with which roles, and the configuration that follows.

What    `with city(os.environ) as config:` for everything that works on the checkout's own city: the launcher,
        `make prove`, `make bench`, `make migrate`. Run as a program it starts another one with that
        configuration in its environment: `python -m wallet.run.environment python -m wallet.ledger.proof`.
Rules   Nothing set: the embedded PostgreSQL in VAR_DIR/pg, up while the block runs. Only DATABASE_URL: that
        database, where its role makes the three logins. All three URLs: used as they are. Two of three:
        refused. A demo that is given no keys of Stripe's takes its cards over the stand-in processor.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from wallet.config import Config, ConfigError, postgres_url
from wallet.demo.processor import standin
from wallet.run import roles
from wallet.run.faults import Fault
from wallet.run.postgres import Cluster

DATABASE: Final = "trangtien"
"""The demo city's database in the embedded cluster."""

URL_NAMES: Final = ("DATABASE_URL", "AUDIT_DATABASE_URL", "MIGRATOR_DATABASE_URL")


STRIPE_NAMES: Final = ("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRETS", "STRIPE_API_BASE")


def say_nothing(_: str) -> None:
    """Say nothing: for callers whose own output matters."""


def var_dir(environ: Mapping[str, str]) -> Path:
    """Return where this checkout keeps what it makes."""
    return Path(environ.get("VAR_DIR", "").strip() or "var")


def embedded(environ: Mapping[str, str], *, say: Callable[[str], None] = say_nothing) -> Cluster:
    """Return the checkout's own cluster, neither made nor started yet."""
    words = roles.passwords(var_dir(environ) / "roles.json", "embedded")
    return Cluster(var_dir(environ) / "pg", password=words.superuser, say=say)


@contextlib.contextmanager
def city(
    environ: Mapping[str, str],
    *,
    database: str = DATABASE,
    make: bool = True,
    say: Callable[[str], None] = say_nothing,
) -> Iterator[Config]:
    """Have the city's database up, with its roles, while the block runs. Migrating it is another step.

    Args:
        environ: usually `os.environ`. DEMO counts as 1 unless it says 0.
        database: another one in the embedded cluster, for measurements that must not touch the city.
        make: whether a database that is not there yet may be made.
        say: told one line when something is done that a person may wonder about.

    Raises:
        Fault, ConfigError: one line each.
    """
    env = _with_cards({"DEMO": "1", **{name: value for name, value in environ.items() if value.strip()}})
    given = [name for name in URL_NAMES if name in env]
    if not given:
        cluster = embedded(env, say=say)
        if not make and not cluster.exists:
            raise Fault(f"There is no city in {var_dir(env)} yet: `make run` makes it.")
        with cluster.using():
            words = roles.passwords(var_dir(env) / "roles.json", "embedded")
            yield Config.from_env({**env, **_named(roles.bootstrap(cluster.url(database), words))})
    elif given == ["DATABASE_URL"]:
        admin_url = postgres_url("DATABASE_URL", env["DATABASE_URL"])
        words = roles.passwords(var_dir(env) / "roles.json", roles.place_of(admin_url))
        yield Config.from_env({**env, **_named(roles.bootstrap(admin_url, words))})
    elif len(given) == len(URL_NAMES):
        config = Config.from_env(env)
        for name in URL_NAMES:
            roles.check(name, postgres_url(name, env[name]))
        yield config
    else:
        raise ConfigError(
            f"{' and '.join(given)} set without {' and '.join(n for n in URL_NAMES if n not in given)}: "
            "set all three, or only DATABASE_URL (of a role that may create roles), or none."
        )


def child_environ(config: Config, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that works with `config`: never the migrator's URL."""
    env = {name: value for name, value in environ.items() if name not in (*URL_NAMES, *STRIPE_NAMES)}
    return {
        **env,
        **_named_stripe(config),
        "PORT": str(config.port),
        "PUBLIC_ORIGIN": config.public_origin,
        "LIVE_PORT": str(config.live_port),
        "LIVE_ORIGIN": config.live_origin,
        "DATABASE_URL": config.database_url,
        "AUDIT_DATABASE_URL": config.audit_database_url,
        "VAR_DIR": str(config.var_dir),
        "CITY_FILE": str(config.city_file),
        "DEMO": "1" if config.demo else "0",
        "SERVER_SECRET": config.server_secret.hex(),
        "TRUSTED_PROXY": "1" if config.trusted_proxy else "0",
    }


@contextlib.contextmanager
def sole_launcher(folder: Path) -> Iterator[None]:
    """Let one launcher at a time run the city of a checkout.

    Raises:
        Fault: another one does; its process id is named.
    """
    path = folder / "run.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+")  # noqa: SIM115  # closed below, after the lock is given back
    except OSError as error:
        raise Fault(f"{path} cannot be used: {error.strerror}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Fault(
                f"The city of this folder is already running (process {file.read().strip() or 'unknown'})."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
        file.truncate(0)


def _with_cards(env: dict[str, str]) -> dict[str, str]:
    """Let a demo that names no card processor use the stand-in."""
    if env["DEMO"] != "1" or any(name in env for name in STRIPE_NAMES):
        return env
    return {**env, **standin.kept(var_dir(env)).environ}


def _named_stripe(config: Config) -> dict[str, str]:
    if config.stripe is None:
        return {}
    named = {
        "STRIPE_API_KEY": config.stripe.api_key,
        "STRIPE_WEBHOOK_SECRETS": ",".join(config.stripe.webhook_secrets),
    }
    return {**named, "STRIPE_API_BASE": config.stripe.api_base} if config.stripe.api_base else named


def _named(urls: roles.Urls) -> dict[str, str]:
    return {
        "DATABASE_URL": urls.app,
        "AUDIT_DATABASE_URL": urls.audit,
        "MIGRATOR_DATABASE_URL": urls.migrator,
    }


def main(argv: list[str]) -> int:
    """Run a command with the city up and its configuration in the environment; return how it ended."""
    if not argv:
        print("usage: python -m wallet.run.environment COMMAND…", file=sys.stderr)
        return 2
    try:
        with city(os.environ, make=False) as config:
            child = subprocess.Popen(argv, env=child_environ(config, os.environ))
            # Ctrl-C reaches the command too; we only wait for it, and then put the database away.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, lambda *_: child.terminate())
            status = child.wait()
            return status if status >= 0 else 128 - status
    except (Fault, ConfigError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
