"""A plain ledger by SQLAlchemy's ORM: what a team would write first, and write well.

It locks the accounts in one order, checks, inserts the entry and its postings and updates the balances, in one
transaction. SQLAlchemy batches its inserts, psycopg prepares its statements; a connection is kept.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from bench.crew import Post, Prepare

OPENING = 10**12


class Base(DeclarativeBase):
    """The peer's own schema."""

    metadata = sa.MetaData(schema="orm")


class Account(Base):
    """An account and its balance in đồng."""

    __tablename__ = "account"
    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    balance: Mapped[int] = mapped_column(sa.BigInteger, sa.CheckConstraint("balance >= 0"))


class Entry(Base):
    """A balanced event."""

    __tablename__ = "entry"
    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    kind: Mapped[str]
    at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now())
    postings: Mapped[list["Posting"]] = relationship()


class Posting(Base):
    """So much into an account, or out of it."""

    __tablename__ = "posting"
    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    entry_id: Mapped[int] = mapped_column(sa.ForeignKey(Entry.id), index=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey(Account.id), index=True)
    amount: Mapped[int] = mapped_column(sa.BigInteger)


class Insufficient(Exception):
    """An account has less than what leaves it."""


def post(session: Session, kind: str, legs: dict[int, int]) -> None:
    """Post an entry whose legs sum to zero, and commit it."""
    locked = sa.select(Account).where(Account.id.in_(legs)).order_by(Account.id).with_for_update()
    for account in session.scalars(locked):
        if account.balance + legs[account.id] < 0:
            raise Insufficient(account.id)
        account.balance += legs[account.id]
    session.add(Entry(kind=kind, postings=[Posting(account_id=id, amount=amount) for id, amount in legs.items()]))
    session.commit()


def prepare(url: str, accounts: int) -> None:
    """Make the tables and so many accounts."""
    engine = _engine(url)
    with engine.begin() as connection:
        connection.execute(sa.schema.CreateSchema("orm"))
        Base.metadata.create_all(connection)
        rows = [{"id": number, "balance": OPENING} for number in range(accounts)]
        connection.execute(sa.insert(Account), rows)
    engine.dispose()


def _engine(url: str) -> sa.Engine:
    return sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), pool_size=1, max_overflow=0)


def client(url: str, legs: Callable[[random.Random, int], dict[int, int]]) -> Prepare:
    """Return what a client does: post entries with the legs that `legs` draws for it, again and again."""

    @contextmanager
    def ready(number: int) -> Iterator[Post]:
        engine, luck = _engine(url), random.Random(number)

        def once() -> None:
            with Session(engine, autoflush=False, expire_on_commit=False) as session:
                post(session, "transfer", legs(luck, number))

        yield once
        engine.dispose()

    return ready
