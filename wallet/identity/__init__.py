"""Identity: holders and their names, one-time codes, PINs, sessions, roles, and the keys that sign."""
