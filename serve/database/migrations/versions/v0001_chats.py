"""1: chats and their messages."""

from serve.database.migrations.statements import run

revision = "0001"
down_revision = None


def upgrade() -> None:
    """From the format before."""
    run(
        """
        CREATE TABLE chats (
            id {key} PRIMARY KEY, created {key} NOT NULL, model TEXT NOT NULL, labels TEXT NOT NULL,
            total INTEGER NOT NULL, model_version TEXT NOT NULL, state {blob}
        ) {strict}
        """,
        """
        CREATE TABLE messages (
            chat {key} NOT NULL REFERENCES chats(id) ON DELETE CASCADE, n INTEGER NOT NULL,
            speaker TEXT NOT NULL, text TEXT NOT NULL, time TEXT, prediction TEXT, error TEXT,
            correction TEXT, corrected {key},
            PRIMARY KEY (chat, n)
        ) {strict}
        """,
    )


def downgrade() -> None:
    """Back to it."""
    run("DROP TABLE messages", "DROP TABLE chats")
