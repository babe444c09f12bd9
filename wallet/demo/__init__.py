"""The demo city: invented people, their bills and their first payments."""
