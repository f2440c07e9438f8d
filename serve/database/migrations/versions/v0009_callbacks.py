"""9: who is told that a batch has ended."""

from serve.database.migrations.statements import run

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """From the format before."""
    run(
        """
        CREATE TABLE callbacks (
            batch {key} PRIMARY KEY REFERENCES batches(id) ON DELETE CASCADE, url TEXT NOT NULL,
            state TEXT NOT NULL DEFAULT 'waiting', tries INTEGER NOT NULL DEFAULT 0, due {key} NOT NULL DEFAULT '',
            tried {key}, status INTEGER, error TEXT
        ) {strict}
        """,
        "CREATE INDEX callbacks_due ON callbacks (due) WHERE state = 'waiting'",
    )


def downgrade() -> None:
    """Back to it."""
    run("DROP TABLE callbacks")
