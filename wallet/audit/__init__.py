"""The audit room: questions that an auditor asks of the books. All of them are asked as a role that can write nothing.

Words   Nobody is named here: who a holder is can be seen masked, and whole only by an order that gives a reason and is told.
"""
