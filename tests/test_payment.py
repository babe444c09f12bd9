"""A citizen pays fees by one signed order: the whole way, from the request to the books."""

from uuid import uuid4

from tests.make import STATION, WARD, City


def test_bills_of_two_agencies_are_paid_by_one_signed_order(city: City) -> None:
    hoa = city.citizen(available=500_000)
    one = city.bill(debtor=hoa, amounts=[20_000, 5_000])
    other = city.bill(debtor=hoa, amounts=[110_000], agency=STATION)
    reply = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[one.seen, other.seen])
    assert reply.status == 201, reply.body
    answer = reply.json()
    assert answer["total"] == "135000"
    assert len({paid["entry"] for paid in answer["bills"]}) == 2
    assert city.available(hoa) == 365_000
    assert [city.read_bill(bill).status for bill in (one, other)] == ["paid", "paid"]
    assert city.differences() == []


def test_the_same_order_again_gets_the_same_bytes(city: City) -> None:
    hoa = city.citizen(available=50_000)
    bill = city.bill(debtor=hoa)
    order = hoa.order("bill_payment", payer=hoa.account, bills=[bill.seen])
    first = hoa.send("POST", "/v1/bill-payments", order)
    again = hoa.send("POST", "/v1/bill-payments", order)
    assert (first.status, first.body) == (again.status, again.body) == (201, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert city.available(hoa) == 30_000


def test_a_refusal_sticks_like_any_outcome(city: City) -> None:
    hoa = city.citizen(available=1_000)
    bill = city.bill(debtor=hoa)
    order = hoa.order("bill_payment", payer=hoa.account, bills=[bill.seen])
    first = hoa.send("POST", "/v1/bill-payments", order)
    assert (first.status, first.json()["code"]) == (402, "insufficient_funds")
    city.top_up(hoa, 100_000)
    again = hoa.send("POST", "/v1/bill-payments", order)
    assert (again.status, again.body) == (first.status, first.body)
    assert city.available(hoa) == 101_000


def test_the_outcome_of_an_order_can_be_read_and_an_unknown_one_never_arrived(city: City) -> None:
    hoa = city.citizen(available=50_000)
    bill = city.bill(debtor=hoa)
    order = hoa.order("bill_payment", payer=hoa.account, bills=[bill.seen])
    paid = hoa.send("POST", "/v1/bill-payments", order).json()
    outcome = hoa.get(f"/v1/orders/{paid['order']}")
    assert outcome.json()["state"] == "done"
    assert outcome.json()["answer"] == paid
    unknown = hoa.get(f"/v1/orders/{uuid4()}")
    assert (unknown.status, unknown.json()["code"]) == (404, "order_not_found")


def test_an_officer_issues_and_cancels_by_signed_orders(city: City) -> None:
    hoa, officer = city.citizen(), city.officer(WARD)
    procedure = next(iter(city.city.procedures_of(WARD)))
    item = procedure.items[0]
    line = {"item": item.code, "amount": str((item.amount or 3_000) * 2), "dia_ban": city.area()}
    issued = officer.act(
        "/v1/bills",
        "bill_issue",
        debtor={"name": hoa.name, "phone": hoa.phone},
        dossier="000.00.32.H57-261121-0099",
        procedure=procedure.code,
        due="2099-01-31",
        lines=[line],
    )
    assert issued.status == 201, issued.body
    bill = issued.json()["bill"]
    assert [row["id"] for row in hoa.get("/v1/bills").json()["rows"]] == [bill]
    cancelled = officer.act(f"/v1/bills/{bill}/cancel", "bill_cancel", bill=bill, reason="Lập nhầm hồ sơ")
    assert cancelled.status == 201, cancelled.body
    refused = hoa.act(
        "/v1/bill-payments",
        "bill_payment",
        payer=hoa.account,
        bills=[{"bill": bill, "version": "1", "amount": issued.json()["total"]}],
    )
    assert (refused.status, refused.json()["code"]) == (409, "bill_cancelled")
    assert city.differences() == []
