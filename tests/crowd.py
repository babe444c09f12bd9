"""A crowd: devices that ask all at once, each an operating system process with its own random stream and its own history.

    with crowd() as many:
        many.run({"url": …, "people": […], "casts": ["transfer", "transfer fold"], "seconds": 2, …})

Words   A conductor (`python -m tests.crowd`) has the ledger imported once and forks its devices for each run.
        A cast names the acts of one device; an act named twice is done twice as often.
How     Without a port a device calls the verbs themselves, so that as many units are open as there are devices. With one it
        speaks HTTP and sends the same bytes until it has an answer, as a telephone would.
"""

import contextlib
import http.client
import json
import os
import random
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from tests.history import Means
from wallet import accounts, canonical, clock, db, holds, ids, ledger, orders, periods, refunds, signing, transfers
from wallet.client import Client
from wallet.crypto import PrivateKey
from wallet.events import Event
from wallet.identity.roles import Role
from wallet.ids import AccountId, EntryId, HolderId, HoldId, OrderId
from wallet.ledger import BatchItem, Claim, Entry, Evidence, Plan, Posting
from wallet.ledger.refusals import Insufficient
from wallet.limits import Limits
from wallet.money import Dong
from wallet.refusal import Refusal
from wallet.run.lifeline import die_with_parent

ROOT = Path(__file__).parents[1]
EVERYBODY: Final = frozenset(str(role) for role in Role)
TWINS_A_SECOND: Final = 20
HEAD_START_S: Final = 0.1
IDLE_MAX: Final = 150
"""How often a device that finds nothing to do may look again; beyond, looking counts as acting."""
IDLE_S: Final = 0.02
ANSWER_S_MAX: Final = 30
"""How long a device goes on asking over HTTP once its run is over."""

Run = dict[str, Any]


# -- the test's side --------------------------------------------------------------------------------------------------


class Crowd:
    """A conductor that runs and waits for orders."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def start(self, run: Run) -> None:
        """Let the devices of a run loose. A file `stop` in their folder ends the run."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(run) + "\n")
        self.process.stdin.flush()

    def finish(self) -> None:
        """Wait until the last of them is done."""
        assert self.process.stdout is not None
        assert json.loads(self.process.stdout.readline()) == 0, "every device came to its end"

    def run(self, run: Run) -> None:
        self.start(run)
        self.finish()


@contextlib.contextmanager
def crowd() -> Iterator[Crowd]:
    """Have a conductor."""
    command = [sys.executable, "-m", "tests.crowd", str(os.getpid())]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Crowd(process)
        finally:
            process.kill()


def person(signer: Client) -> dict[str, Any]:
    """Spell somebody for a run: whoever reads it can sign for them."""
    return {"holder": signer.holder, "account": signer.account, "jwk": signer.key.jwk()}


# -- a device ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order, what it means, and the verb that decides it."""

    who: Client
    kind: str
    content: bytes
    means: Means
    decide: Callable[[sa.Connection, Claim], Plan]
    path: str = ""
    evidence: Any = "signed_order"
    at_once: bool = True


class Device:
    """One process that asks."""

    def __init__(self, run: Run, number: int) -> None:
        self.run = run
        self.acts = [getattr(self, act) for act in run["casts"][number].split()]
        self.random = random.Random(f"{run['seed']}:{number}")
        self.engine = db.engine(run["url"], name=f"device-{number}")
        self.people = [self.client(one) for one in run["people"]]
        self.others = [self.client(one) for one in run.get("others", ())]
        self.limits = Limits(demo=True)
        self.asked = 0
        self.log = (Path(run["folder"]) / f"{number}.jsonl").open("w", buffering=1)
        self.acted = 0
        self.idled = 0
        self.stop = Path(run["folder"]) / "stop"
        self.ends = run["starts"] + run["seconds"]

    def client(self, one: dict[str, Any]) -> Client:
        key = PrivateKey.from_jwk(one["jwk"])
        return Client(origin=self.run["origin"], key=key, holder=one["holder"], account=one["account"], seconds=20)

    def live(self) -> None:
        time.sleep(max(0.0, self.run["starts"] - time.time()))
        while self.gone < 1:
            self.random.choice(self.acts)()
            self.acted += 1

    def idle(self) -> None:
        """Find nothing to do: what the others have not made yet, this one can neither take nor give back."""
        time.sleep(IDLE_S)
        self.idled += 1
        self.acted -= self.idled <= IDLE_MAX

    @property
    def gone(self) -> float:
        """How much of the run is over, by acts done, by time, or because somebody said stop, whichever comes first."""
        if self.stop.exists():
            return 1.0
        by_time: float = (time.time() - self.run["starts"]) / self.run["seconds"]
        by_acts: float = self.acted / self.run["acts"] if self.run.get("acts") else 0.0
        return max(by_time, by_acts)

    # -- asking ------------------------------------------------------------------------------------------------

    def note(self, **said: Any) -> None:
        self.log.write(json.dumps({"n": self.asked, **said}) + "\n")

    def ask(self, order: Order) -> tuple[int, Any] | None:
        """Write an order down, ask, and write down what came back."""
        self.asked += 1
        id = json.loads(order.content)["id"]
        self.note(
            ask={
                "signer": order.who.holder,
                "id": id,
                "kind": order.kind,
                "content": order.content.decode(),
                "means": order.means.spelled(),
            }
        )
        got = self.over_http(order) if self.run.get("port") else self.directly(order)
        if got is None:
            return None
        self.note(got=[got[0], got[1].decode()])
        return got[0], json.loads(got[1])

    def directly(self, order: Order) -> tuple[int, bytes] | None:
        try:
            outcome = orders.carry_out(
                self.engine,
                evidence(order.who, order.kind, order.content, how=order.evidence),
                admits=EVERYBODY,
                decide=order.decide,
                spell=spelled,
                spell_refusal=lambda refusal: canonical.dumps({"code": refusal.code, **refusal.facts}),
                status=201,
                now=clock.now(),
                at_once=order.at_once,
            )
        except Exception as fault:  # noqa: BLE001 - whatever reached the caller is what the test is about
            self.note(failed=f"{type(fault).__name__}: {fault}")
            return None
        return outcome.status, outcome.body

    def over_http(self, order: Order) -> tuple[int, bytes] | None:
        """Send the same bytes until there is an answer other than "busy"."""
        while time.time() < self.ends + ANSWER_S_MAX:
            try:
                reply = order.who.send("POST", order.path, order.content)
            except (OSError, http.client.HTTPException) as fault:
                self.note(lost=type(fault).__name__)
                time.sleep(0.02)
                continue
            if reply.status >= 500 and reply.json().get("code") != "service_busy":
                self.note(failed=f"HTTP {reply.status}: {reply.body.decode()}")
                return None
            if reply.status != 503:
                return reply.status, reply.body
            self.note(lost="service_busy")
            time.sleep(0.02)
        return None

    def ask_database(self, question: str, **given: Any) -> list[Any]:
        """What a device looks up, to know what to ask for; nothing while the database is away."""
        try:
            with self.engine.connect() as connection:
                return list(connection.execute(sa.text(question), given))
        except sa.exc.OperationalError:
            if not self.run.get("port"):
                raise
            time.sleep(0.02)
            return []

    # -- transfers ---------------------------------------------------------------------------------------------

    def pair(self) -> tuple[Client, Client]:
        payer, payee = self.random.sample(self.people, 2)
        return payer, payee

    def send(self, payer: Client, payee: Client, amount: int, *, content: bytes = b"") -> tuple[int, Any] | None:
        """Ask for a transfer."""
        own = {"payer": payer.account, "payee": payee.account, "amount": str(amount), "memo": ""}
        content = content or payer.order("transfer", **own)
        order = transfers.TransferOrder(
            id=OrderId(UUID(json.loads(content)["id"])),
            payer=account(payer),
            payee=account(payee),
            amount=Dong(amount),
        )
        return self.ask(
            Order(
                who=payer,
                kind="transfer",
                content=content,
                path="/v1/transfers",
                means=Means(postings=((payer.account, payee.account, amount),)),
                decide=lambda unit, claim: transfers.send(unit, claim, order, limits=self.limits, now=clock.now()),
            )
        )

    def transfer(self) -> None:
        self.send(*self.pair(), self.random.randint(1, self.run["amount_max"]))

    def spend_all(self) -> None:
        """All that was there a moment ago: of the two who see it, one gets it."""
        payer, payee = self.pair()
        self.send(payer, payee, max(1, self.available(payer)))

    def available(self, one: Client) -> int:
        question = "SELECT posted - held FROM ledger.balance_now WHERE account = :account"
        return int(self.ask_database(question, account=one.account)[0][0])

    def twin(self) -> None:
        """The order of this instant, which other devices send in this instant too: the very same bytes."""
        slot = int((time.time() - self.run["starts"]) * TWINS_A_SECOND)
        shared = random.Random(f"{self.run['seed']}:twin:{slot}")
        payer, payee = shared.sample(self.people, 2)
        amount = shared.randint(1, self.run["amount_max"])
        said = {
            "amount": str(amount),
            "id": str(UUID(int=shared.getrandbits(128), version=4)),
            "kind": "transfer",
            "payee": payee.account,
            "payer": payer.account,
            "signer": payer.holder,
        }
        self.send(payer, payee, amount, content=canonical.dumps(said))

    # -- entries of many postings ------------------------------------------------------------------------------

    def many(self) -> None:
        """One entry that pays everybody else, some of them several times."""
        payer = self.random.choice(self.people)
        payees = [one for one in self.people if one is not payer] * 4
        self.random.shuffle(payees)
        made = tuple((payer.account, one.account, self.random.randint(1, self.run["amount_max"])) for one in payees)
        self.ask(
            Order(
                who=payer,
                kind="batch_transfer",
                content=payer.order("batch_transfer"),
                means=Means(postings=made),
                decide=lambda _unit, _claim: entered("batch_transfer", made),
            )
        )

    def batch(self) -> None:
        """Many entries in one call, each paid or passed over."""
        payer = self.random.choice(self.people)
        payees = [one for one in self.people if one is not payer] * 3
        made = tuple((payer.account, one.account, self.random.randint(1, self.run["amount_max"])) for one in payees)
        content = payer.order("batch_transfer")
        self.asked += 1
        id = json.loads(content)["id"]
        said = {"signer": payer.holder, "id": id, "kind": "batch_transfer", "content": content.decode()}
        self.note(ask={**said, "means": Means(postings=made, partly=True).spelled()})
        order = evidence(payer, "batch_transfer", content)

        def work(unit: sa.Connection) -> bytes:
            claim = Claim.of(order)
            assert ledger.claim(unit, order, claim).state == "new"
            items = [BatchItem(payee=AccountId(UUID(to)), amount=Dong(amount)) for _, to, amount in made]
            why = ledger.post_batch(
                unit,
                claim,
                kind="batch_transfer",
                payer=account(payer),
                items=items,
                limits=(),
                effective_at=clock.now(),
            )
            body = canonical.dumps({"paid": [str(n) for n, (_, refused) in enumerate(why) if refused is None]})
            if all(refused for _, refused in why):
                raise Insufficient  # nothing happened, so nothing may be told: the caller refuses the whole
            ledger.conclude(unit, claim, status=201, body=body, counted=())
            return body

        try:
            self.note(got=[201, db.unit(self.engine, work).decode()])
        except Refusal:
            return  # nothing was written; a door would store the refusal in a unit of its own
        except Exception as fault:  # noqa: BLE001 - as above
            self.note(failed=f"{type(fault).__name__}: {fault}")

    # -- holds -------------------------------------------------------------------------------------------------

    def place(self) -> None:
        payer, payee = self.pair()
        amount = self.random.randint(1, self.run["amount_max"])
        # Over HTTP an instant is whole seconds; directly it may be so near that a capture and the lapse meet.
        near = self.random.choice((0.02, 0.05, 0.3, 60.0)) if not self.run.get("port") else 3600
        lapses_at = clock.now() + timedelta(seconds=near)
        own = {"payer": payer.account, "payee": payee.account, "amount": str(amount)}
        spelled = f"{lapses_at.timestamp():.6f}" if not self.run.get("port") else str(int(lapses_at.timestamp()))
        content = payer.order("hold", **own, lapses_at=spelled)
        order = holds.HoldOrder(
            id=OrderId(UUID(json.loads(content)["id"])),
            payer=account(payer),
            payee=account(payee),
            amount=Dong(amount),
            lapses_at=lapses_at,
        )
        self.ask(
            Order(
                who=payer,
                kind="hold",
                content=content,
                path="/v1/holds",
                means=Means(holds=((payer.account, payee.account, amount),)),
                decide=lambda unit, claim: holds.place(unit, claim, order, limits=self.limits, now=clock.now()),
            )
        )

    def a_hold(self) -> tuple[Any, Client] | None:
        """One of the few that lapse next, so that several devices want the same."""
        question = """
            SELECT h.id, h.account::text, h.payee::text, h.amount FROM ledger.live_hold l JOIN ledger.hold h ON h.id = l.hold
            WHERE h.payee = ANY (:people) ORDER BY l.lapses_at LIMIT 3
        """
        found = self.ask_database(question, people=[account(one) for one in self.people])
        if not found:
            self.idle()
            return None
        hold = self.random.choice(found)
        return hold, next(one for one in self.people if one.account == hold.payee)

    def capture(self) -> None:
        found = self.a_hold()
        if found is None:
            return
        hold, payee = found
        amount, final = self.random.choice((1, hold.amount // 2 or 1, hold.amount)), self.random.random() < 0.5
        own = {"hold": str(hold.id), "amount": str(amount), "final": str(final).lower()}
        content = payee.order("hold_capture", **own)
        order = holds.CaptureOrder(
            id=OrderId(UUID(json.loads(content)["id"])), hold=HoldId(hold.id), amount=Dong(amount), final=final
        )
        self.ask(
            Order(
                who=payee,
                kind="hold_capture",
                content=content,
                path=f"/v1/holds/{hold.id}/captures",
                means=Means(
                    postings=((hold.account, hold.payee, amount),), resolves=((str(hold.id), "capture", amount),)
                ),
                decide=lambda unit, claim: holds.capture(unit, claim, order, now=clock.now()),
            )
        )

    def void(self) -> None:
        found = self.a_hold()
        if found is None:
            return
        hold, payee = found
        content = payee.order("hold_void", hold=str(hold.id))
        order = holds.VoidOrder(id=OrderId(UUID(json.loads(content)["id"])), hold=HoldId(hold.id))
        self.ask(
            Order(
                who=payee,
                kind="hold_void",
                content=content,
                path=f"/v1/holds/{hold.id}/void",
                means=Means(resolves=((str(hold.id), "void", 0),)),
                decide=lambda unit, claim: holds.void(unit, claim, order, now=clock.now()),
            )
        )

    # -- what was paid, given back -----------------------------------------------------------------------------

    def an_entry(self) -> tuple[EntryId, Client, list[Any]] | None:
        """One of the last entries that paid somebody, with its lines."""
        payee = self.random.choice(self.people)
        question = """
            SELECT p.entry FROM ledger.posting p JOIN ledger.entry e ON e.id = p.entry
            WHERE p.credit = :account AND e.kind IN ('transfer', 'capture', 'refund') ORDER BY p.seq DESC LIMIT 3
        """
        found = self.ask_database(question, account=payee.account)
        if not found:
            self.idle()
            return None
        entry = self.random.choice(found).entry
        lines = self.ask_database(
            "SELECT line, debit::text, credit::text, amount FROM ledger.posting WHERE entry = :entry", entry=entry
        )
        return (EntryId(entry), payee, lines) if lines else None

    def refund(self) -> None:
        found = self.an_entry()
        if found is None:
            return
        entry, payee, lines = found
        parts = [(one, self.random.choice((one.amount, one.amount // 2 or 1))) for one in lines]
        own = [{"line": str(one.line), "amount": str(part)} for one, part in parts]
        content = payee.order("refund", entry=str(entry), lines=own, reason="Trả lại")
        order = refunds.RefundOrder(
            id=OrderId(UUID(json.loads(content)["id"])),
            entry=entry,
            lines=tuple(refunds.LineBack(line=one.line, amount=Dong(part)) for one, part in parts),
            reason="Trả lại",
        )
        self.ask(
            Order(
                who=payee,
                kind="refund",
                content=content,
                path="/v1/refunds",
                means=Means(postings=tuple((one.credit, one.debit, part) for one, part in parts)),
                decide=lambda unit, claim: refunds.refund(unit, claim, order, now=clock.now()),
            )
        )

    def reverse(self) -> None:
        found = self.an_entry()
        if found is None:
            return
        entry, payee, lines = found
        content = payee.order("reverse", entry=str(entry), reason="Nhầm")
        order = refunds.ReverseOrder(id=OrderId(UUID(json.loads(content)["id"])), entry=entry, reason="Nhầm")
        self.ask(
            Order(
                who=payee,
                kind="reverse",
                content=content,
                path="/v1/reversals",
                means=Means(postings=tuple((one.credit, one.debit, one.amount) for one in lines)),
                decide=lambda unit, claim: refunds.reverse(unit, claim, order, now=clock.now()),
            )
        )

    # -- what the worker does ----------------------------------------------------------------------------------

    def fold(self) -> None:
        db.unit(self.engine, partial(ledger.fold, accounts=200))

    def lapse(self) -> None:
        """Look as often as a few workers together would."""
        time.sleep(0.02)
        holds.lapse_due(self.engine, now=clock.now())

    # -- money from outside, on a day that may be closing -------------------------------------------------------

    def top_up(self, *, days_ago: float = 0.0) -> None:
        bank = self.client(self.run["bank"])
        payee, amount = self.random.choice(self.people), self.random.randint(1, self.run["amount_max"])
        made = ((self.run["guarantee"], payee.account, amount),)
        at = clock.now() - timedelta(days=days_ago)
        self.ask(
            Order(
                who=bank,
                kind="bank_line",
                content=bank.order("bank_line"),
                evidence="outside_word",
                means=Means(postings=made),
                decide=lambda _unit, _claim: entered("topup", made, at=at),
                at_once=self.random.random() < 0.5,
            )
        )

    def top_up_late(self) -> None:
        """For one of the days that are closed next."""
        through = self.ask_database("SELECT max(ends) AS day FROM ledger.period")[0].day
        today = clock.day_of(clock.now())
        oldest = (today - through).days - 1 if through else self.run["days"]
        self.top_up(days_ago=max(0, oldest - self.random.choice((0, 0, 0, 1, 2))))

    def close_day(self) -> None:
        """The day after the last one that is closed."""
        bank = self.client(self.run["bank"])
        through = self.ask_database("SELECT max(ends) AS day FROM ledger.period")[0].day
        today = clock.day_of(clock.now())
        day = through + timedelta(days=1) if through else today - timedelta(days=self.run["days"])
        if day >= today - timedelta(days=1):
            return
        content = bank.order("period_close")
        order = periods.CloseOrder(id=OrderId(UUID(json.loads(content)["id"])), kind="day", starts=day)
        self.ask(
            Order(
                who=bank,
                kind="period_close",
                content=content,
                evidence="officer_order",
                means=Means(),
                decide=lambda unit, claim: periods.close(unit, claim, order, now=clock.now()),
                at_once=False,
            )
        )

    # -- accounts, frozen and closed ---------------------------------------------------------------------------

    def move(self, who: Client, kind: str, status: Any) -> tuple[int, Any] | None:
        content = who.order(kind, account=who.account)
        order = accounts.MoveOrder(id=OrderId(UUID(json.loads(content)["id"])), account=account(who), status=status)
        return self.ask(
            Order(
                who=who,
                kind=kind,
                content=content,
                means=Means(moves=((who.account, status),)),
                decide=lambda unit, claim: accounts.move(unit, claim, order, now=clock.now()),
            )
        )

    def freeze(self) -> None:
        self.move(self.random.choice(self.people), "account_freeze", "frozen")

    def thaw(self) -> None:
        self.move(self.random.choice(self.people), "account_thaw", "open")

    def one_of_others(self) -> Client:
        """One of the few wallets that are closed about now."""
        place = int(self.gone * len(self.others)) + self.random.randint(0, 2)
        return self.others[min(place, len(self.others) - 1)]

    def credit_other(self) -> None:
        self.send(self.random.choice(self.people), self.one_of_others(), self.random.randint(1, 3))

    def close_other(self) -> None:
        """Empty a wallet and close it at once, while others still send to it."""
        one = self.one_of_others()
        left = self.available(one)
        if left:
            self.send(one, self.people[0], left)
        self.move(one, "account_close", "closed")


def evidence(who: Client, kind: str, content: bytes, *, how: Any = "signed_order") -> Evidence:
    """Make what a door would hand down: the bytes and, where they are signed, a signature that covers them."""
    signed: dict[str, Any] = {}
    if how == "signed_order":
        base = f'"content-digest": {signing.content_digest(content)}'.encode()
        signed = {"key_id": who.key.public.id, "signature_base": base, "signature": who.key.sign(base)}
    return Evidence(
        kind=how,
        signer=HolderId(UUID(who.holder)),
        order_id=OrderId(UUID(json.loads(content)["id"])),
        order_kind=kind,
        content=content,
        **signed,
    )


def account(one: Client) -> AccountId:
    return AccountId(UUID(one.account))


def entered(kind: str, made: tuple[tuple[str, str, int], ...], *, at: Any = None) -> Plan:
    """Plan one entry of these postings, and tell of it."""
    entry = Entry(
        id=EntryId(ids.new()),
        kind=kind,
        effective_at=at or clock.now(),
        postings=tuple(
            Posting(debit=AccountId(UUID(debit)), credit=AccountId(UUID(credit)), amount=Dong(amount))
            for debit, credit, amount in made
        ),
    )
    return Plan(entries=(entry,), events=(Event(type=f"{kind}.entered", subject=entry.id, entry=entry.id),), answer={})


def spelled(answer: Any) -> bytes:
    """Spell what was done, as plain strings."""
    said = answer if isinstance(answer, dict) else asdict(answer)
    return canonical.dumps({name: str(value) for name, value in said.items()})


# -- the conductor ----------------------------------------------------------------------------------------------------


def main(parent: int) -> None:
    """Fork the devices of each run that is asked for; say how many did not come to their end."""
    die_with_parent(parent)
    for line in sys.stdin:
        run = json.loads(line)
        run["starts"] = time.time() + HEAD_START_S
        children = [fork(run, number) for number in range(len(run["casts"]))]
        print(sum(os.waitpid(pid, 0)[1] != 0 for pid in children), flush=True)  # noqa: T201 - that is the answer


def fork(run: Run, number: int) -> int:
    """Start a device; return its process id."""
    conductor = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        die_with_parent(conductor)
        Device(run, number).live()
    except BaseException:  # noqa: BLE001 - a child ends here, whatever happened
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
