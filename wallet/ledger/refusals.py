"""What the ledger refuses, found under its locks. Money has not moved: the transaction went back whole."""

from collections.abc import Mapping
from typing import Any, Final

from wallet.refusal import Refusal


class Insufficient(Refusal):
    """The account's available balance is less than what leaves it."""

    code = "insufficient_funds"
    status = 402


class PayerFrozen(Refusal):
    """The account that the money would leave is frozen."""

    code = "payer_frozen"
    status = 403


class PayerClosed(Refusal):
    """The account that the money would leave is closed."""

    code = "payer_closed"
    status = 403


class PayeeFrozen(Refusal):
    """The account that the money would reach is frozen."""

    code = "payee_frozen"
    status = 409


class PayeeClosed(Refusal):
    """The account that the money would reach is closed."""

    code = "payee_closed"
    status = 409


class TooLarge(Refusal):
    """The account would come to more than an account can hold: 4 × 10^18 đồng, half of a BIGINT."""

    code = "balance_too_large"
    status = 422


class LimitExceeded(Refusal):
    """The order would exceed a limit. `limit` says which; `used`, `cap` and `remaining` are whole đồng of its period."""

    code = "limit_exceeded"
    status = 403


class StepUpRequired(Refusal):
    """The order is above a threshold from which the holder must prove themselves once more, in a stronger way."""

    code = "step_up_required"
    status = 403


class PeriodClosed(Refusal):
    """The day on which this would take effect is in a closed period."""

    code = "period_closed"
    status = 409


class PeriodOpen(Refusal):
    """The period is not over yet."""

    code = "period_open"
    status = 409


class HoldResolved(Refusal):
    """The hold was captured whole, voided or has lapsed already."""

    code = "hold_resolved"
    status = 409


class HoldLapsed(Refusal):
    """The hold's time is over; it cannot be captured or voided any more, only lapse."""

    code = "hold_lapsed"
    status = 409


class HoldExceeded(Refusal):
    """The capture is more than what remains of the hold; `remains` is whole đồng."""

    code = "hold_exceeded"
    status = 422


class MandateUsed(Refusal):
    """The code was charged once already, and is good for once."""

    code = "mandate_used"
    status = 409


class MandateExpired(Refusal):
    """The code's thirty seconds are over."""

    code = "mandate_expired"
    status = 409


class MandateReplaced(Refusal):
    """The holder's phone has shown a newer code since, and only the newest is good."""

    code = "mandate_replaced"
    status = 409


class MandateExceeded(Refusal):
    """More than the holder allowed with this code; `cap` is whole đồng."""

    code = "mandate_exceeded"
    status = 422


class MandateCodeTaken(Refusal):
    """The code that the holder drew was once somebody's: another one has to be drawn."""

    code = "mandate_code_taken"
    status = 409


class Reversed(Refusal):
    """The entry was reversed already; it can be neither reversed again nor refunded."""

    code = "entry_reversed"
    status = 409


class Refunded(Refusal):
    """Parts of the entry were given back already, so it cannot be reversed whole; the rest can be refunded."""

    code = "entry_refunded"
    status = 409


class NotReversible(Refusal):
    """The entry itself undoes another one, and what undoes is not undone; or it brought money in from outside."""

    code = "entry_not_reversible"
    status = 409


class RefundTooLarge(Refusal):
    """More than what remains of a line of the entry; `remains` is whole đồng."""

    code = "refund_too_large"
    status = 422


class AccountIs(Refusal):
    """The account is in that state already, or is closed for good."""

    code = "account_state"
    status = 409


class FrozenByOperator(Refusal):
    """The operator froze the account, so its holder cannot thaw it."""

    code = "account_frozen_by_operator"
    status = 403


class AccountNotEmpty(Refusal):
    """An account with money in it, or held, cannot be closed."""

    code = "account_not_empty"
    status = 409


class KeyDead(Refusal):
    """The key is unknown, revoked, not yet approved, or not the signer's."""

    code = "signature_key"
    status = 401
    stored = False


class NotAdmitted(Refusal):
    """The caller's role does not admit this act."""

    code = "role_not_admitted"
    status = 403
    stored = False


class Stale(Refusal):
    """What the plan stood on has changed meanwhile; whoever made it makes a new one. Never answered to a caller."""

    code = "plan_stale"
    status = 409
    stored = False


class PostingStopped(Refusal):
    """Posting is stopped: the log has published more than the database remembers, after a restore or a failover."""

    code = "posting_stopped"
    status = 503
    stored = False


STEP_UP: Final = "step_up_day"
"""The bucket whose cap is a threshold for step-up, not a limit."""

_BY_NAME: Final[dict[str, type[Refusal]]] = {
    "insufficient": Insufficient,
    "payer_frozen": PayerFrozen,
    "payer_closed": PayerClosed,
    "payee_frozen": PayeeFrozen,
    "payee_closed": PayeeClosed,
    "too_large": TooLarge,
    "limit_exceeded": LimitExceeded,
    "period_closed": PeriodClosed,
    "period_open": PeriodOpen,
    "hold_resolved": HoldResolved,
    "hold_lapsed": HoldLapsed,
    "hold_exceeded": HoldExceeded,
    "mandate_used": MandateUsed,
    "mandate_expired": MandateExpired,
    "mandate_replaced": MandateReplaced,
    "mandate_exceeded": MandateExceeded,
    "mandate_code_taken": MandateCodeTaken,
    "reversed": Reversed,
    "refunded": Refunded,
    "not_reversible": NotReversible,
    "refund_too_large": RefundTooLarge,
    "account_open": AccountIs,
    "account_frozen": AccountIs,
    "account_closed": AccountIs,
    "frozen_by_operator": FrozenByOperator,
    "account_not_empty": AccountNotEmpty,
    "key_dead": KeyDead,
    "not_admitted": NotAdmitted,
    "stale": Stale,
    "posting_stopped": PostingStopped,
}


def of(name: str, facts: Mapping[str, Any]) -> Refusal:
    """Return the refusal that the database named, with its facts as plain strings."""
    said = {key: str(value) for key, value in facts.items()}
    if name == "limit_exceeded":
        said["remaining"] = str(max(0, int(facts["cap"]) - int(facts["used"])))
        if facts["limit"] == STEP_UP:
            return StepUpRequired(param="amount", **said)
    return _BY_NAME[name](**said)
