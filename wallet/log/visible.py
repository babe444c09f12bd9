"""What strangers wrote, as it may stand in a terminal: a file that is judged must not write the verdict itself."""


def visible(text: str) -> str:
    """Spell every character that is not printed as itself (line ends, escapes, turns of direction) as Python does."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
