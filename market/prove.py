"""Prove the books, the market's own tables included: `make prove`, as `wallet.prove` says."""

import sys

from market import proof
from wallet import prove

if __name__ == "__main__":
    sys.exit(prove.main(more=proof.QUESTIONS))
