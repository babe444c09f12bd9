"""Gates: the only files that talk to others. A foreign call never happens inside a unit."""
