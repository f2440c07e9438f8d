"""8: what is kept of a chat's last messages."""

from serve.database.migrations.statements import run

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """From the format before."""
    run(
        """
        CREATE TABLE chat_rows (
            chat {key} NOT NULL REFERENCES chats(id) ON DELETE CASCADE, place INTEGER NOT NULL, n INTEGER NOT NULL,
            data {blob} NOT NULL,
            PRIMARY KEY (chat, place)
        ) {strict}
        """
    )


def downgrade() -> None:
    """Back to it."""
    # A state is of no use without its rows: of no model's version, it is made anew from the messages.
    run("UPDATE chats SET model_version = ''", "DROP TABLE chat_rows")
