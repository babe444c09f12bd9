"""Opening the till: which acquirer the configuration names, and what cards can pay here."""

from collections.abc import Mapping

import sqlalchemy as sa

from wallet.cards.bills import BillTarget
from wallet.cards.till import Target, Till
from wallet.config import Config


def of(config: Config, database: sa.Engine, *, more: Mapping[str, Target] | None = None) -> Till | None:
    """Return the till, or None where no acquirer is configured.

    Args:
        config: the environment's.
        database: the application's engine.
        more: what other packages let cards pay, by purpose.
    """
    if config.stripe is None:
        return None
    from wallet.gates import cards  # a service without cards need not load their SDK

    return Till(
        database=database,
        acquirer=cards.StripeCards(config.stripe),
        origin=config.public_origin,
        targets={"bill": BillTarget(), **(more or {})},
    )
