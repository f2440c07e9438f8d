"""6: what a table's columns are called, and how its text is encoded."""

from serve.database.migrations.statements import run

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """From the format before."""
    run(
        "ALTER TABLE batches ADD COLUMN columns TEXT NOT NULL DEFAULT '{}'",
        "ALTER TABLE batches ADD COLUMN encoding TEXT",
    )


def downgrade() -> None:
    """Back to it."""
    run("ALTER TABLE batches DROP COLUMN encoding", "ALTER TABLE batches DROP COLUMN columns")
