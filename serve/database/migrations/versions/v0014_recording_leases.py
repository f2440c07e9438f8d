"""14: which worker listens to a recording, and until when it is his."""

from serve.database.migrations.statements import run

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """From the format before."""
    run(
        "ALTER TABLE recordings ADD COLUMN holder {key}",
        "ALTER TABLE recordings ADD COLUMN held_until {share}",
        "ALTER TABLE recordings ADD COLUMN lost INTEGER NOT NULL DEFAULT 0",
    )


def downgrade() -> None:
    """Back to it."""
    run(
        "ALTER TABLE recordings DROP COLUMN lost",
        "ALTER TABLE recordings DROP COLUMN held_until",
        "ALTER TABLE recordings DROP COLUMN holder",
    )
