"""4: whose things are, and when they were last used."""

from serve.database.migrations.statements import run

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """From the format before."""
    run(
        "ALTER TABLE chats ADD COLUMN owner {key} NOT NULL DEFAULT ''",
        "ALTER TABLE batches ADD COLUMN owner {key} NOT NULL DEFAULT ''",
        "ALTER TABLE visual_dialogs ADD COLUMN owner {key} NOT NULL DEFAULT ''",
        "ALTER TABLE chats ADD COLUMN touched {key} NOT NULL DEFAULT ''",
        "ALTER TABLE visual_dialogs ADD COLUMN touched {key} NOT NULL DEFAULT ''",
        "CREATE INDEX failed_messages ON messages (chat, n) WHERE error IS NOT NULL",
    )


def downgrade() -> None:
    """Back to it."""
    run(
        "DROP INDEX failed_messages",
        "ALTER TABLE visual_dialogs DROP COLUMN touched",
        "ALTER TABLE chats DROP COLUMN touched",
        "ALTER TABLE visual_dialogs DROP COLUMN owner",
        "ALTER TABLE batches DROP COLUMN owner",
        "ALTER TABLE chats DROP COLUMN owner",
    )
