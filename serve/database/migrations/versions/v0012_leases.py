"""12: which worker is at which part of a batch, and until when it is his."""

from serve.database.migrations.statements import run

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """From the format before."""
    run(
        "ALTER TABLE batches ADD COLUMN turn {large} NOT NULL DEFAULT 0",
        "ALTER TABLE batches ADD COLUMN holder {key}",
        "ALTER TABLE batches ADD COLUMN held_until {share}",
        "ALTER TABLE batches ADD COLUMN lost INTEGER NOT NULL DEFAULT 0",
        """
        CREATE TABLE batch_parts (
            number {count}, batch {key} NOT NULL REFERENCES batches(id) ON DELETE CASCADE, name {key} NOT NULL,
            state TEXT NOT NULL DEFAULT 'open', error TEXT,
            holder {key}, held_until {share}, lost INTEGER NOT NULL DEFAULT 0
        ) {strict}
        """,
        "CREATE UNIQUE INDEX batch_part ON batch_parts (batch, name)",
    )


def downgrade() -> None:
    """Back to it."""
    run(
        "DROP TABLE batch_parts",
        "ALTER TABLE batches DROP COLUMN lost",
        "ALTER TABLE batches DROP COLUMN held_until",
        "ALTER TABLE batches DROP COLUMN holder",
        "ALTER TABLE batches DROP COLUMN turn",
    )
