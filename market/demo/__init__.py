"""The demo city's market: invented traders and what they sell."""
