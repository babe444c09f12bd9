"""What the people of the demo city owe and have paid, as a plan: nothing here touches a database.

What    Pure and deterministic by seed, city file and day: due dates lie around the day of loading.
Words   fate: what a bill is to be on that day, free (waived), due, overdue, expired or paid · opening: what a
        wallet holds before its first payment.
Money   Whole đồng. Amounts that the city file leaves to the officer are drawn from sizes usual for their
        tiểu mục.
Dossier Codes look like 000.00.01.H57-261121-0032: agency, national code of the place, day, number
        (confidence C).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Final, Literal

from wallet.city import Agency, City, Item, Procedure
from wallet.demo.people import SEED, Citizen, Principal

Fate = Literal["free", "due", "overdue", "expired", "paid"]

WALLET_EVERY: Final = 5
"""Each fifth citizen has opened a wallet; the others are debtors on file who may open one."""

PAYERS: Final = 44
"""How many of the citizens with a wallet have paid already: enough to fill takings and histories."""

OLDEST_DAYS: Final = 90
"""How long before the day of loading the oldest bill was issued."""

_FATES: Final[Sequence[Fate]] = ("free", "due", "overdue", "expired")
_FATE_WEIGHTS: Final = (16, 52, 23, 9)

_NAMED_FATES: Final[Sequence[Sequence[Fate]]] = (
    ("due", "due", "overdue", "free", "due", "paid"),
    ("due", "overdue", "free", "paid"),
    ("due", "due", "overdue", "free", "expired"),
    ("due", "overdue", "free", "due"),
)
_NAMED_LEFT: Final = (2_500_000, 800_000, 350_000, 1_000)
"""What the named citizens have left after their payments, in đồng: the last has too little for any bill."""

_EVERYDAY: Final = 2
"""How much likelier a procedure comes up that several agencies offer."""

_LATE: Final = frozenset({"4272", "4911"})
"""Tiểu mục of interest for late payment: a line of overdue bills only."""

_STATED: Final[Sequence[tuple[str, Sequence[int]]]] = (  # tiểu mục by prefix, usual amounts
    ("2603", (27_000, 40_000, 54_000, 81_000, 162_000)),
    ("26", (150_000, 300_000, 500_000)),
    ("28", (320_000, 475_000, 850_000, 1_240_000, 2_600_000, 6_750_000)),
    ("4272", (1_500, 4_200, 9_750, 16_800)),
    ("4911", (3_600, 12_300, 27_450)),
    ("4", (150_000, 250_000, 400_000, 700_000, 1_500_000, 4_000_000, 5_000_000)),
    ("", (4_000, 6_000, 10_000, 18_000, 26_000, 200_000)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLine:
    """One line of a bill: the procedure's item, its amount in whole đồng, and its place in the budget."""

    item: str
    name: str
    amount: int
    chuong: str
    tieu_muc: str
    area: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBill:
    """A bill that an agency is to issue to the holder of a phone number."""

    debtor: str
    agency: str
    procedure: str
    dossier: str
    lines: tuple[PlannedLine, ...]
    fate: Fate
    issued: date
    due: date
    expires: date | None

    @property
    def total(self) -> int:
        """Return the sum of the lines, in whole đồng."""
        return sum(line.amount for line in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What the bank says came in for the holder of a phone number, in whole đồng."""

    phone: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A signed order to come: whose wallet pays the bills of which dossiers, all under one signature."""

    payer: str
    dossiers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """Everything that is to happen in the demo city, in this order: openings, bills, payments."""

    openings: tuple[Opening, ...]
    bills: tuple[PlannedBill, ...]
    payments: tuple[Payment, ...]


def plan(city: City, people: Sequence[Citizen], named: Sequence[Principal], *, day: date, seed: str = SEED) -> DemoPlan:
    """Draw what everybody owes and has paid.

    Args:
        city: whose agencies and procedures.
        people: the citizens on file.
        named: the principals; only the citizens among them owe anything.
        day: the day of loading, by the city's own clock.
        seed: another seed is another city.
    """
    draw = _Draw(city, Random(f"{seed}:bills"), day)
    openings: list[Opening] = []
    bills: list[PlannedBill] = []
    payments: list[Payment] = []
    citizens = [one for one in named if one.role == "citizen"]
    for principal, fates, left in zip(citizens, _NAMED_FATES, _NAMED_LEFT, strict=True):
        assert principal.phone, "a named citizen has a phone"
        assert principal.area, "a named citizen lives somewhere"
        owed = draw.named_bills(principal.phone, principal.area, fates)
        bills += owed
        payments += _payments(owed)
        openings.append(Opening(phone=principal.phone, amount=left + _paid(owed)))
    for place, citizen in enumerate(people):
        has_wallet = place % WALLET_EVERY == 0
        pays = has_wallet and place // WALLET_EVERY < PAYERS
        owed = draw.some_bills(citizen, pays=pays)
        bills += owed
        payments += _payments(owed)
        if has_wallet:
            openings.append(Opening(phone=citizen.phone, amount=draw.savings() + _paid(owed)))
    return DemoPlan(openings=tuple(openings), bills=tuple(bills), payments=tuple(payments))


def _payments(bills: Iterable[PlannedBill]) -> list[Payment]:
    """Pay what is to be paid, one person's bills under one signature."""
    paid = [bill for bill in bills if bill.fate == "paid"]
    if not paid:
        return []
    return [Payment(payer=paid[0].debtor, dossiers=tuple(bill.dossier for bill in paid))]


def _paid(bills: Iterable[PlannedBill]) -> int:
    return sum(bill.total for bill in bills if bill.fate == "paid")


class _Draw:
    """The lots of one plan, drawn one after another."""

    def __init__(self, city: City, lot: Random, day: date) -> None:
        self._city = city
        self._lot = lot
        self._day = day
        self._numbers: Counter[str] = Counter()
        self._places = {code: place for place, code in enumerate(city.agencies, start=1)}
        procedures = tuple(city.procedures.values())
        self._free = tuple(one for one in procedures if _lines_free(self._items(one)))
        self._charged = tuple(one for one in procedures if _items_charged(self._items(one)))

    def savings(self) -> int:
        return self._lot.randrange(20, 4_000) * 1_000

    def named_bills(self, phone: str, area: str, fates: Sequence[Fate]) -> list[PlannedBill]:
        """Draw a named citizen's bills, of different agencies as long as there are any."""
        bills: list[PlannedBill] = []
        for fate in fates:
            known = {bill.agency for bill in bills}
            bill = self._bill(phone, area, fate, unlike=known)
            bills.append(bill)
        return bills

    def some_bills(self, citizen: Citizen, *, pays: bool) -> list[PlannedBill]:
        count = self._lot.choices((1, 2, 3, 4), weights=(20, 48, 24, 8))[0]
        fates = list(self._lot.choices(_FATES, weights=_FATE_WEIGHTS, k=count))
        if pays:
            paid = self._lot.choice((1, 1, 2))
            fates[:paid] = ["paid"] * paid
        return [self._bill(citizen.phone, citizen.area, fate) for fate in fates]

    def _bill(self, phone: str, area: str, fate: Fate, *, unlike: Iterable[str] = ()) -> PlannedBill:
        procedure, agency = self._offer(self._free if fate == "free" else self._charged, area, set(unlike))
        where = agency.area or area
        issued, due, expires = self._dates(fate)
        return PlannedBill(
            debtor=phone,
            agency=agency.code,
            procedure=procedure.code,
            dossier=self._dossier(agency, issued),
            lines=tuple(self._lines(procedure, agency, where, fate)),
            fate=fate,
            issued=issued,
            due=due,
            expires=expires,
        )

    def _offer(self, procedures: Sequence[Procedure], area: str, unlike: set[str]) -> tuple[Procedure, Agency]:
        """Choose who asks for money, and for what: the citizen's own ward or an agency of the whole city.

        Whoever lives where no agency sits may owe any. Agencies in `unlike` are avoided as long as anybody
        else offers anything. What many agencies offer is everyday business and comes up more often.
        """
        agencies = self._city.agencies
        offers = [(one, agencies[code]) for one in procedures for code in one.agencies]
        if any(agency.area == area for agency in agencies.values()):
            offers = [offer for offer in offers if offer[1].area in (area, None)] or offers
        offers = [offer for offer in offers if offer[1].code not in unlike] or offers
        weights = [_EVERYDAY if len(one.agencies) > 1 else 1 for one, _ in offers]
        return self._lot.choices(offers, weights=weights)[0]

    def _lines(self, procedure: Procedure, agency: Agency, area: str, fate: Fate) -> list[PlannedLine]:
        items = self._items(procedure)
        if fate == "free":
            chosen = _lines_free(items)
        else:
            charged = _items_charged(items)
            chosen = [charged[0], *(one for one in charged[1:] if self._lot.random() < 0.5)]
            chosen += [one for one in items if one.tieu_muc in _LATE and fate == "overdue"]
        return [
            PlannedLine(
                item=item.code,
                name=item.name,
                amount=self._amount(item),
                chuong=agency.chuong,
                tieu_muc=item.tieu_muc,
                area=area,
            )
            for item in chosen
        ]

    def _items(self, procedure: Procedure) -> list[Item]:
        """Return what stood on every day on which a bill of the plan is issued."""
        oldest = self._day - timedelta(days=OLDEST_DAYS)
        return [item for item in procedure.items_on(self._day) if item.in_force(oldest)]

    def _amount(self, item: Item) -> int:
        if item.amount is not None:
            return item.amount
        usual = next(amounts for prefix, amounts in _STATED if item.tieu_muc.startswith(prefix))
        return self._lot.choice(usual)

    def _dates(self, fate: Fate) -> tuple[date, date, date | None]:
        """Draw when the bill was issued, is due and expires, as days around the day of loading."""
        ranges: dict[Fate, tuple[range, range]] = {  # days from the day of loading: issued, due
            "free": (range(-30, 1), range(5, 21)),
            "due": (range(-14, 1), range(1, 31)),
            "overdue": (range(-60, -20), range(-18, 0)),
            "expired": (range(-OLDEST_DAYS, -60), range(-50, -29)),
            "paid": (range(-25, -2), range(3, 21)),
        }
        issued, due = (self._day + timedelta(days=self._lot.choice(days)) for days in ranges[fate])
        if fate == "expired":
            return issued, due, due + timedelta(days=self._lot.randrange(5, 25))
        lapses = fate in ("due", "overdue") and self._lot.random() < 0.3
        return issued, due, self._day + timedelta(days=self._lot.randrange(35, 90)) if lapses else None

    def _dossier(self, agency: Agency, issued: date) -> str:
        book = f"000.00.{self._places[agency.code]:02}.{self._city.national_code}-{issued:%y%m%d}"
        self._numbers[book] += 1
        return f"{book}-{self._numbers[book]:04}"


def _lines_free(items: Iterable[Item]) -> list[Item]:
    return [item for item in items if item.amount == 0]


def _items_charged(items: Iterable[Item]) -> list[Item]:
    return [item for item in items if item.amount != 0 and item.tieu_muc not in _LATE]
