"""Loading the demo city: invented people, their bills and their first payments, entered through the real verbs.

What    `load` enters the city once and writes down who to sign in as. It writes past no verb: clerks order
        the bills, the bank's word brings the money, citizens sign what they pay.
Words   begun, loaded: two marks in the books, orders of an outside party of the demo's own. The first keeps
        the instant that all dates turn around, so that a load that was cut off goes on as it began; the
        second says that all is done, and then a start does nothing.
Danger  Every key and PIN of the demo is derived from its seed and so known to everybody. `load` refuses to
        run outside the demo and on top of anything else; `refuse` keeps a real service off a demo's database.
"""

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from wallet import city, clock, db
from wallet.config import Config, ConfigError
from wallet.demo import marks, papers
from wallet.demo.enter import Entering, Load
from wallet.demo.people import CITIZENS
from wallet.identity import tables


def load(
    *,
    config: Config,
    log: Callable[[str], None],
    citizens: int = CITIZENS,
    more: Sequence[Callable[[Load], None]] = (),
) -> None:
    """Enter the demo city if it is not there yet, and write `demo.json` for this start's address.

    Args:
        config: of the demo; the application's database role is enough.
        log: told one line for each thing that takes a while.
        citizens: how many debtors there are beside the named few; the same at each load of a database.
        more: what other packages enter after the people; each finds what an earlier load has done.

    Raises:
        ConfigError: this is not the demo, or the database holds something else than a demo.
        city.CityError: the city file has faults.
    """
    if not config.demo:
        raise ConfigError("The demo city is loaded in the demo only (DEMO=1): its keys are known to everybody.")
    here = city.load(config.city_file)
    database = db.engine(config.database_url, name="demo")
    try:
        if not marks.is_loaded(database):
            begun = _begin(database, config)
            log("Loading the demo city (DỮ LIỆU MẪU), some seconds …")
            work = Load(
                database_url=config.database_url,
                city_file=config.city_file,
                begun=begun,
                citizens=citizens,
            )
            entering = Entering(work)
            try:
                entering.everything()
            finally:
                entering.close()
            for enter in more:
                enter(work)
            marks.loaded(database, begun)  # waits for the disk, and so for all that came before
        papers.write(config, here, database)
    finally:
        database.dispose()


def refuse(database: sa.Engine) -> None:
    """Keep a service that is no demo off a database that holds one.

    Raises:
        ConfigError: the database holds a demo city, whose keys are known to everybody.
    """
    if marks.is_begun(database):
        raise ConfigError(
            "DATABASE_URL names a database that holds the demo city, whose keys and PINs everybody knows: "
            "outside the demo (DEMO is not 1) use another database."
        )


def _begin(database: sa.Engine, config: Config) -> marks.Begun:
    """Mark the beginning, unless there is one; a database that others have filled is left alone.

    Raises:
        ConfigError: somebody is registered who is none of the demo's.
    """
    if not marks.is_begun(database):
        with database.connect() as connection:
            if connection.execute(sa.select(sa.true()).select_from(tables.holder).limit(1)).scalar():
                raise ConfigError(
                    "DATABASE_URL names a database that somebody uses already: the demo city is loaded into "
                    "an empty one only. Use another database, or set DEMO=0."
                )
    return marks.begun(database, marks.Begun(at=clock.now(), origin=config.public_origin))
