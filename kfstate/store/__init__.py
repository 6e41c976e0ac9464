"""The append-only log in SQL: tables, append, read, verify.

Every function here is sync, takes a SQLAlchemy ``Connection`` first, and never opens or commits: the caller owns the
transaction, so that entries, cursor and projections become durable together or not at all.
"""
