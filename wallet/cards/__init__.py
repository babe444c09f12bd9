"""Cards: money in from any linked card, back to it, and taken back by it; the books always by the acquirer's own word.

Words   A payment is one order of a holder to be paid by card. Its receipt is the entry that brought its money in. A
        notice is what an acquirer tells on its own: a reason to ask, never one to believe.
How     begin (a unit commits the order) → call (the acquirer, with our id as its idempotency key) → record (a unit).
        A call is made once by whoever set `called_at`; what its answer did not tell is found out by asking, never by
        calling again. Money is booked when the acquirer says that it moved, once, because the word's order id is
        made of what it tells.
"""
