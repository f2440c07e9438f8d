"""11: answers of an assistant in a chat, and what the chat was before the last of them."""

from serve.database.migrations.statements import run

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """From the format before."""
    run(
        "ALTER TABLE messages ADD COLUMN reply TEXT",
        """
        CREATE TABLE answers (
            chat {key} PRIMARY KEY REFERENCES chats (id) ON DELETE CASCADE,
            n INTEGER NOT NULL, state {blob}, model_version TEXT NOT NULL
        ) {strict}
        """,
        """
        CREATE TABLE answer_rows (
            chat {key} REFERENCES chats (id) ON DELETE CASCADE, place INTEGER NOT NULL,
            n INTEGER NOT NULL, data {blob} NOT NULL, PRIMARY KEY (chat, place)
        ) {strict}
        """,
    )


def downgrade() -> None:
    """Back to it: answers are messages like any other."""
    run("DROP TABLE answer_rows", "DROP TABLE answers", "ALTER TABLE messages DROP COLUMN reply")
