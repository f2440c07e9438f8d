"""15: how the voice sounds in each stretch of a recording."""

from serve.database.migrations.statements import run

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """From the format before."""
    run("ALTER TABLE recording_parts ADD COLUMN voice TEXT")


def downgrade() -> None:
    """Back to it."""
    run("ALTER TABLE recording_parts DROP COLUMN voice")
