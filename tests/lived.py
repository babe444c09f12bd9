"""A small city that something of every kind happened in: what auditors' pages and exports are tested on."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tests.make import STATION, WARD, City, Seen, Signer
from wallet import clock, periods


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """Who lives here, and the entries of what they did."""

    city: City
    hoa: Signer
    binh: Signer
    ward: Signer
    paid: Seen
    payment: str
    refund: str
    transfer: str
    reversal: str
    capture: str
    late: UUID
    """A top-up that the bank told of three days after it happened."""
    late_at: datetime


def live(city: City) -> Lived:
    """Let them top up, pay, send, hold, capture, give back and reverse; then sweep the day's collections."""
    hoa, binh = city.citizen("Nguyễn Thị Hồng Hoa", available=5_000_000), city.citizen("Trần Văn Bình")
    late_at = clock.now() - timedelta(days=3)
    late = city.top_up(binh, 12_000_001, effective_at=late_at)
    ward, station = city.machine(WARD), city.machine(STATION)
    paid, other = city.bill(debtor=hoa, amounts=[20_000, 5_000]), city.bill(debtor=hoa, amounts=[1], agency=STATION)
    reply = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[paid.seen, other.seen])
    assert reply.status == 201, reply.body
    payment, station_payment = _entry_of(city, paid), _entry_of(city, other)
    back = ward.act(
        "/v1/refunds", "refund", entry=payment, lines=[{"line": "1", "amount": "400"}], reason="Thu thừa của chị Hoa"
    )
    assert back.status == 201, back.body
    undone = station.act("/v1/reversals", "reverse", entry=station_payment, reason="Nhầm người")
    assert undone.status == 201, undone.body
    sent = city.send(hoa, binh, 1_000_000)
    assert sent.status == 201, sent.body
    taken = city.capture(binh, city.hold(hoa, binh, 30_000), 20_000, final=True)
    assert taken.status == 201, taken.body
    periods.sweep(city.engine, clock.day_of(clock.now()), now=clock.now())
    return Lived(
        city=city, hoa=hoa, binh=binh, ward=ward, paid=paid, payment=payment, refund=str(back.json()["entry"]),
        transfer=str(sent.json()["entry"]), reversal=str(undone.json()["entry"]), capture=str(taken.json()["entry"]),
        late=late, late_at=late_at,
    )  # fmt: skip


def _entry_of(city: City, bill: Seen) -> str:
    with city.engine.connect() as connection:
        return str(
            connection.exec_driver_sql("SELECT id FROM ledger.entry WHERE settles = %s", (bill.id,)).scalar_one()
        )
