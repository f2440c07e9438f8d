"""3: dialogues about pictures."""

from serve.database.migrations.statements import run

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """From the format before."""
    run(
        """
        CREATE TABLE visual_dialogs (
            id {key} PRIMARY KEY, created {key} NOT NULL, picture {blob} NOT NULL, caption TEXT NOT NULL,
            look TEXT NOT NULL, total INTEGER NOT NULL, model_version TEXT NOT NULL, state {blob} NOT NULL
        ) {strict}
        """,
        """
        CREATE TABLE visual_rounds (
            dialog {key} NOT NULL REFERENCES visual_dialogs(id) ON DELETE CASCADE, n INTEGER NOT NULL,
            question TEXT NOT NULL, answer TEXT NOT NULL,
            PRIMARY KEY (dialog, n)
        ) {strict}
        """,
    )


def downgrade() -> None:
    """Back to it."""
    run("DROP TABLE visual_rounds", "DROP TABLE visual_dialogs")
