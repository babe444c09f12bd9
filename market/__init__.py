"""TRADE: who sells what, where, and what they are owed. It stands on `wallet`, never the other way."""
