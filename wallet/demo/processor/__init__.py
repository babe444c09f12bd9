"""The stand-in processor: a small, stateful server of Stripe's published shapes, for the demo and the tests.

What    Speaks HTTP on loopback, so that the real SDK talks to it unchanged: customers, payment and setup intents,
        Checkout and 3-D Secure pages, refunds, disputes, balance transactions, payouts, signed events with
        retries, idempotency keys. Its own page `/` is the processor's dashboard: there a card's holder disputes a
        payment, and money is paid out.
Words   A thing is an object of the API, kept as the API shows it. A fault is something that goes wrong on command.
Rule    What one request does is one transaction of SQLite: killed at any instant, it has done all of it or nothing.
Source  docs.stripe.com/api and docs.stripe.com/testing, and the SDK's own types; the fees are invented.
"""
