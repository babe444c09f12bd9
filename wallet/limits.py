"""Limits: how much may leave a wallet, in which calendar period, and from which device.

Words   A bucket counts one rule's use by one holder in one calendar period (Asia/Ho_Chi_Minh). A hold counts when it is
        placed, and a void or lapse gives back what remained; a refund gives nothing back.
        The ledger counts and compares under the bucket's lock; here is only decided what counts where.
Money   Whole đồng.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

import sqlalchemy as sa

from wallet import clock, rules
from wallet.identity import keys
from wallet.ids import HolderId
from wallet.ledger import Claim, Count
from wallet.ledger.refusals import StepUpRequired
from wallet.money import Dong
from wallet.rules import LimitRule

TRANSFER: Final = "transfer"
"""The use of money that goes to another person's wallet."""

PUBLIC_SERVICE: Final = "public_service"
"""The use of a fee, charge or fine, where its procedure names no other."""

NEW_DEVICE: Final = timedelta(hours=24)
"""How long a device is new (DESIGN, section 6)."""

_IN_FLIGHT_S: Final = 60
"""The door's now is a moment before the database's: a rule that began between the two may not have counted yet."""

_STANDINGS_MAX: Final = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A limit as its holder sees it. Whole đồng; `renews_at` is the instant at which the period ends."""

    code: str
    title: str
    title_en: str
    uses: frozenset[str]
    window: str
    effect: str
    cap: Dong
    used: int
    renews_at: datetime | None
    source: str
    confidence: str

    @property
    def remaining(self) -> int:
        """What may still leave the wallet under this limit."""
        return max(0, self.cap - self.used)


@dataclass(slots=True, kw_only=True)
class Limits:
    """The limits in force, and what is remembered of keys: when each was enrolled never changes.

    `demo`: in the demo a holder's first device counts as old, so that a newcomer may try everything.
    """

    demo: bool
    _keys: dict[str, keys.Enrolment] = field(default_factory=dict)

    def counts(
        self, connection: sa.Connection, claim: Claim, amounts: Mapping[str, int], *, now: datetime
    ) -> tuple[Count, ...]:
        """Say what an order counts against which limit.

        Args:
            connection: asked once for each key, then never again.
            claim: the order, with the key that signed it.
            amounts: đồng that leave the wallet, by use.
            now: the door's clock; its day and month in the city are the periods.

        Raises:
            StepUpRequired: the order alone is above a threshold.
        """
        today = clock.day_of(now)
        counted = []
        for rule in rules.limits_on(today):
            amount = sum(part for use, part in amounts.items() if use in rule.uses)
            if amount == 0 or not self._applies(connection, rule, claim, now):
                continue
            if rule.window == "order":
                if amount > rule.value:
                    raise StepUpRequired(param="amount", limit=rule.code, cap=str(rule.value))
                continue
            counted.append(
                Count(
                    bucket=rule.code,
                    starts=starts(rule, today),
                    amount=Dong(amount),
                    cap=rule.value,
                    renews_at=renews_at(rule, today),
                )
            )
        return tuple(counted)

    def standings(self, connection: sa.Connection, holder: HolderId, *, now: datetime) -> list[Standing]:
        """Return every limit of a holder with what is used of it, in the order of the rules."""
        today = clock.day_of(now)
        wanted = [rule for rule in rules.limits_on(today) if not rule.only or self._has_new(connection, holder, now)]
        rows = connection.exec_driver_sql(
            "SELECT bucket, starts, used FROM ledger.usage WHERE holder = %s AND starts >= %s",
            (holder, today.replace(day=1)),
        )
        used = {(row.bucket, row.starts): int(row.used) for row in rows}
        return [
            Standing(
                code=rule.code,
                title=rule.title,
                title_en=rule.title_en,
                uses=rule.uses,
                window=rule.window,
                effect=rule.effect,
                cap=rule.value,
                used=0 if rule.window == "order" else used.get((rule.code, starts(rule, today)), 0),
                renews_at=None if rule.window == "order" else renews_at(rule, today),
                source=rule.source,
                confidence=rule.confidence,
            )
            for rule in wanted
        ]

    def _applies(self, connection: sa.Connection, rule: LimitRule, claim: Claim, now: datetime) -> bool:
        if not rule.only:
            return True
        if claim.key_id is None:
            return False
        known = self._keys.get(claim.key_id)
        if known is None:
            known = keys.enrolment(connection, claim.key_id)
            if known is None:
                return False  # the ledger refuses an unknown key
            if len(self._keys) >= _STANDINGS_MAX:
                self._keys.clear()
            self._keys[claim.key_id] = known
        return self._new(known, now)

    def _new(self, known: keys.Enrolment, now: datetime) -> bool:
        return now < known.at + NEW_DEVICE and not (self.demo and known.first)

    def _has_new(self, connection: sa.Connection, holder: HolderId, now: datetime) -> bool:
        return any(self._new(one, now) for one in keys.enrolments(connection, holder))


def uncounted(order_kind: str, use: str, *, amount: str) -> str:
    """Word what the proof asks of an order kind whose money is all for one use: was it counted against each limit of that
    use that was in force, and whole? In which period is what `limit_usage_differs` and the counters say.

    Limits of new devices are left out: whether a device was new depends on what the service runs as.

    Args:
        order_kind: of the orders that were carried out.
        use: as in `counts`.
        amount: SQL for (what left the wallet, effective when) of the authority `a`.
    """
    return f"""
        SELECT a.id, format('%s: %s counted, of %s', r.code, coalesce(c.amount, 0), l.amount)
        FROM ledger.authority a JOIN ledger.outcome o ON o.authority = a.id AND o.code IS NULL
        CROSS JOIN LATERAL ({amount}) AS l (amount, at)
        CROSS JOIN LATERAL (SELECT l.at AT TIME ZONE 'Asia/Ho_Chi_Minh' AS here) AS t
        CROSS JOIN LATERAL (SELECT here::date AS day, (here - interval '{_IN_FLIGHT_S} seconds')::date AS before) AS d
        JOIN (VALUES {_in_force(use)}) AS r (code, since, until) ON d.before >= r.since AND d.day < r.until
        LEFT JOIN LATERAL jsonb_to_recordset(o.counted) AS c (bucket text, amount bigint) ON c.bucket = r.code
        WHERE a.order_kind = '{order_kind}'
          AND c.amount IS DISTINCT FROM l.amount"""  # noqa: S608 - names of ours


def counted_once() -> str:
    """Spell the buckets of which each use has exactly one: those of the calendar months."""
    return ", ".join(sorted({f"'{rule.code}'" for rule in rules.limits() if rule.window == "month" and not rule.only}))


def _in_force(use: str) -> str:
    """Spell the rules that count a use: code, and the days from which and before which each holds."""
    rows = []
    for rule in rules.limits():
        if use not in rule.uses or rule.only or rule.window == "order":
            continue
        later = [other.since for other in rules.limits() if other.code == rule.code and other.since > rule.since]
        until = f"'{min(later)}'" if later else "'infinity'"
        rows.append(f"('{rule.code}', '{rule.since}'::date, {until}::date)")
    return ", ".join(rows)


def starts(rule: LimitRule, today: date) -> date:
    """Return the first day of the rule's calendar period."""
    return today.replace(day=1) if rule.window == "month" else today


def renews_at(rule: LimitRule, today: date) -> datetime:
    """Return the instant at which the rule's period ends."""
    first = starts(rule, today)
    following = (first + timedelta(days=32)).replace(day=1) if rule.window == "month" else first + timedelta(days=1)
    return clock.day_bounds(following)[0]
