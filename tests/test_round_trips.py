"""The hot path, counted: what a signed payment costs the database in round trips."""

import sqlalchemy as sa

from tests.make import City


def test_a_signed_payment_is_three_round_trips_inside_its_unit(city: City) -> None:
    """Claim, lock and read the bills, execute; nothing else between BEGIN and COMMIT (DESIGN: at most four)."""
    hoa = city.citizen(available=100_000)
    first, second = city.bill(debtor=hoa), city.bill(debtor=hoa, amounts=[1_000, 2_000])
    warm = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[first.seen])
    assert warm.status == 201, warm.body
    assert city.app is not None
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    engine = city.app.extensions["wallet"].app
    sa.event.listen(engine, "before_cursor_execute", note)
    reply = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[second.seen])
    sa.event.remove(engine, "before_cursor_execute", note)
    assert reply.status == 201, reply.body
    assert [
        name for statement in statements for name in ("claim", "lock_bills", "execute") if f".{name}(" in statement
    ] == [
        "claim",
        "lock_bills",
        "execute",
    ]
    assert len(statements) == 3
