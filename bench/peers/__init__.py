"""What a team would pick instead, measured in the same run on the same PostgreSQL, and the limit of the disk.

Peers do less than the ledger does: they keep no order, no outcome and no event beside the money.
"""
