"""2: batches."""

from serve.database.migrations.statements import run

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """From the format before."""
    run(
        """
        CREATE TABLE batches (
            number {count}, id {key} NOT NULL UNIQUE, created {key} NOT NULL, filename TEXT NOT NULL,
            input_format TEXT NOT NULL, output_format TEXT NOT NULL, model TEXT NOT NULL, anonymise INTEGER NOT NULL,
            bytes {large} NOT NULL, state TEXT NOT NULL, started {key}, finished {key},
            fraction {share} NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
            utterances INTEGER NOT NULL DEFAULT 0, failures TEXT NOT NULL DEFAULT '[]', error TEXT, model_version TEXT
        ) {strict}
        """
    )


def downgrade() -> None:
    """Back to it."""
    run("DROP TABLE batches")
