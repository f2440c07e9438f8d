"""7: lists that are quick."""

from serve.database.migrations.statements import run

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """From the format before."""
    run(
        "CREATE INDEX chats_of ON chats (owner, created, id)",
        "CREATE INDEX batches_of ON batches (owner, created, number)",
        "CREATE INDEX visual_dialogs_of ON visual_dialogs (owner, created, id)",
    )


def downgrade() -> None:
    """Back to it."""
    run("DROP INDEX visual_dialogs_of", "DROP INDEX batches_of", "DROP INDEX chats_of")
