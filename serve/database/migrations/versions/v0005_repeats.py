"""5: answers to requests that may be sent again."""

from serve.database.migrations.statements import dialect, run

revision = "0005"
down_revision = "0004"

_GONE = {"chat_is_gone": "chats", "batch_is_gone": "batches", "picture_is_gone": "visual_dialogs"}


def upgrade() -> None:
    """From the format before."""
    run(
        """
        CREATE TABLE repeats (
            name {key} PRIMARY KEY, created {key} NOT NULL, fingerprint TEXT NOT NULL,
            status INTEGER, headers TEXT, body {blob}, thing {key}
        ) {strict}
        """,
        "CREATE INDEX repeats_of ON repeats (thing)",
    )
    does = "BEGIN DELETE FROM repeats WHERE thing = old.id; END"
    if dialect() == "postgresql":
        run(
            "CREATE FUNCTION forget_answers() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN DELETE FROM repeats WHERE thing = old.id; RETURN NULL; END $$"
        )
        does = "FOR EACH ROW EXECUTE FUNCTION forget_answers()"
    run(*(f"CREATE TRIGGER {name} AFTER DELETE ON {table} {does}" for name, table in _GONE.items()))


def downgrade() -> None:
    """Back to it."""
    for name, table in _GONE.items():
        run(f"DROP TRIGGER {name} ON {table}" if dialect() == "postgresql" else f"DROP TRIGGER {name}")
    if dialect() == "postgresql":
        run("DROP FUNCTION forget_answers()")
    run("DROP TABLE repeats")
