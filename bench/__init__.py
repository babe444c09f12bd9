"""Measurements: with durability, signatures and audit on, as ratios from one run, because machines differ and are shared."""
