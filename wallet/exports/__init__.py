"""Exports: the books in the forms that other people's tools read, and a bundle that is verified without us.

Words   The names of accounts are the same in every form: `Liabilities:Wallet:A-<id>`. No form names a person: holders
        are ids. Everything of one export is read in one snapshot of the database, and as a stream: memory does not grow
        with the books.
"""
