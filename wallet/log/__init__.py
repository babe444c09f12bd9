"""The log: what makes it impossible to rewrite the books unseen. Needs nobody's trust, and `cryptography` alone."""
