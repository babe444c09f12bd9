"""The guard: the program refuses to start with a database role that could write the books around the ledger."""

import sqlalchemy as sa


class UnsafeRole(Exception):
    """The database role can do what the application must never be able to do."""


def check(connection: sa.Connection, *, may_execute: bool) -> None:
    """Refuse a role that owns, or may write, the ledger's tables or the log's.

    Args:
        connection: of the role in question.
        may_execute: whether the role shall be able to call the ledger's verbs (the application) or not (an auditor).

    Raises:
        UnsafeRole: one line that says which role and what it can do.
    """
    row = connection.exec_driver_sql(
        """
        SELECT current_user AS role, r.rolsuper,
               bool_or(has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
                       OR has_any_column_privilege(c.oid, 'INSERT, UPDATE')) AS writes,
               bool_or(pg_has_role(c.relowner, 'MEMBER')) AS owns,
               (SELECT bool_or(has_function_privilege(p.oid, 'EXECUTE')) FROM pg_proc p
                JOIN pg_namespace n ON n.oid = p.pronamespace
                WHERE n.nspname = 'ledger' AND p.prosecdef) AS executes
        FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace, pg_roles r
        WHERE (s.nspname IN ('ledger', 'log') AND c.relkind IN ('r', 'v')
               OR s.nspname = 'person' AND c.relname = 'order_content')
               AND r.rolname = current_user
        GROUP BY r.rolsuper
        """
    ).one_or_none()
    if row is None:
        raise UnsafeRole("The database has no ledger yet: run the migrations first.")
    if row.rolsuper or row.writes or row.owns:
        raise UnsafeRole(f"The database role {row.role} owns or may write the ledger's tables; use one that may not.")
    if row.executes is not may_execute:
        wrong = "may not" if may_execute else "may"
        raise UnsafeRole(f"The database role {row.role} {wrong} call the ledger's verbs; it is the wrong one here.")
