"""The sealer's process: `python -m wallet.run.sealer` until SIGTERM or Ctrl-C. A second one waits for the first to end."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

from wallet import db
from wallet.config import Config, ConfigError
from wallet.ledger import guard
from wallet.log import keyring
from wallet.log.keyring import NoKey
from wallet.log.published import PublishedLog
from wallet.log.sealer import Sealer
from wallet.run.lifeline import die_with_parent
from wallet.run.log import tell_of_rotation
from wallet.web import logs


@contextlib.contextmanager
def of(config: Config) -> Iterator[Sealer]:
    """Have the configured city's sealer, not yet started.

    Raises:
        NoKey: the log has none. The demo's is made here.
        guard.UnsafeRole: the database role could write the books around the ledger.
    """
    if config.demo:
        keyring.make(config.var_dir, keyring.origin(config.public_origin))
    keys, signer = keyring.keys(config.var_dir), keyring.signer(config.var_dir)
    database = db.engine(config.database_url, name="sealer")
    try:
        with database.connect() as connection:
            guard.check(connection, may_execute=True)
        tell_of_rotation(database, keys)
        yield Sealer(database, PublishedLog(keyring.folder(config.var_dir)), keys, signer)
    finally:
        database.dispose()


def main() -> int:
    """Seal until told to stop."""
    die_with_parent(int(os.environ["LAUNCHER_PID"]) if "LAUNCHER_PID" in os.environ else None)
    logs.to_stderr()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with of(Config.from_env(os.environ)) as sealer:
            sealer.run(stop)
    except (ConfigError, NoKey) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
