"""Running it: the database of a checkout, its roles and migrations, and the processes of `make run`.

What    The top floor. Nothing of the product imports it; it starts the product.
"""
