"""Live: tells open pages what has come into the log, by server-sent events, from a process of its own.

What    A page opens one stream with a ticket that the service gave it. Of each new leaf of the log, a source (the
        market's) says which topic it concerns and what to tell; every stream of that topic is told, once, with the
        leaf's index as id.
Words   A topic is what a stream is about (an acceptance point). A beat says that everything up to its id has been told;
        while the log cannot be read, or is not sealed, there are no beats, and a page that hears none knows nothing.
Rules   It only reads, as the auditors' role. It keeps nothing: a page that comes back says what it has seen last, and is
        told the rest from the log.
"""
