"""MONEY: who holds it, how it moves, and the proof that it did."""
