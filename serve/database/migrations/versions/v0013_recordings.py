"""13: recordings, and what is said in each stretch of them."""

from serve.database.migrations.statements import dialect, run

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """From the format before."""
    run(
        """
        CREATE TABLE recordings (
            number {count}, id {key} NOT NULL UNIQUE, created {key} NOT NULL, touched {key} NOT NULL,
            filename TEXT NOT NULL, bytes {large} NOT NULL, n_speakers INTEGER, channels TEXT NOT NULL,
            recogniser TEXT NOT NULL, language TEXT, model TEXT NOT NULL, model_version TEXT, state TEXT NOT NULL,
            started {key}, finished {key}, fraction {share} NOT NULL DEFAULT 0, seconds {share}, envelope {blob},
            names TEXT NOT NULL DEFAULT '[]', warnings TEXT NOT NULL DEFAULT '[]',
            label_warnings TEXT NOT NULL DEFAULT '[]', error TEXT, revision INTEGER NOT NULL DEFAULT 0,
            owner {key} NOT NULL DEFAULT ''
        ) {strict}
        """,
        "CREATE INDEX recordings_of ON recordings (owner, created, number)",
        """
        CREATE TABLE recording_parts (
            recording {key} NOT NULL REFERENCES recordings(id) ON DELETE CASCADE, n INTEGER NOT NULL,
            starts {share} NOT NULL, ends {share} NOT NULL, channel INTEGER NOT NULL, speaker INTEGER NOT NULL,
            text TEXT NOT NULL, confidence {share}, edited INTEGER NOT NULL DEFAULT 0, prediction TEXT,
            PRIMARY KEY (recording, n)
        ) {strict}
        """,
        _FORGET[dialect()],
    )


def downgrade() -> None:
    """Back to it."""
    run("DROP TABLE recording_parts", "DROP TABLE recordings")  # and its trigger with it


_FORGET = {
    "sqlite": (
        "CREATE TRIGGER recording_is_gone AFTER DELETE ON recordings "
        "BEGIN DELETE FROM repeats WHERE thing = old.id; END"
    ),
    "postgresql": (
        "CREATE TRIGGER recording_is_gone AFTER DELETE ON recordings FOR EACH ROW EXECUTE FUNCTION forget_answers()"
    ),
}
