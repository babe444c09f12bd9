"""Doors: they translate a request, make one call, and translate back. Nothing below them knows HTTP."""
