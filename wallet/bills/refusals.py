"""Why a bill is not issued, not cancelled or not paid: each its own code and sentence."""

from wallet.refusal import Refusal


class NotFound(Refusal):
    """No such bill, or none that the caller may see; which of the two is not said."""

    code = "bill_not_found"
    status = 404


class Paid(Refusal):
    """Somebody has paid it already."""

    code = "bill_paid"
    status = 409


class Cancelled(Refusal):
    """The agency has cancelled it."""

    code = "bill_cancelled"
    status = 409


class Superseded(Refusal):
    """The agency has replaced it by another bill."""

    code = "bill_superseded"
    status = 409


class Expired(Refusal):
    """Its last day has passed."""

    code = "bill_expired"
    status = 409


class Waived(Refusal):
    """It is free of charge: nothing is to be paid."""

    code = "bill_waived"
    status = 409


class Changed(Refusal):
    """It is not what the payer saw: the version or the amount differs."""

    code = "bill_changed"
    status = 409


class Unmapped(Refusal):
    """A line has no valid budget codes (chương, tiểu mục, địa bàn)."""

    code = "bill_line_unmapped"
    status = 422


class NotInTariff(Refusal):
    """The procedure has no such item today, or the amount is no whole multiple of the item's."""

    code = "bill_line_not_in_tariff"
    status = 422


class WrongProcedure(Refusal):
    """The agency does not offer that procedure."""

    code = "bill_procedure_unknown"
    status = 422


class WrongDates(Refusal):
    """Due in the past, or expiring before it is due."""

    code = "bill_dates_wrong"
    status = 422


class SupersedesOther(Refusal):
    """A bill replaces only a bill of the same agency and the same debtor."""

    code = "bill_supersedes_other"
    status = 422


class TooLarge(Refusal):
    """The lines come to more than a bill may."""

    code = "bill_too_large"
    status = 422
