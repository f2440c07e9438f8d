"""10: units of fleets, with what the model knows of each."""

from serve.database.migrations.statements import run

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """From the format before."""
    run(
        """
        CREATE TABLE telemetry_units (
            id {key} PRIMARY KEY, unit {key} NOT NULL, created {key} NOT NULL, touched {key} NOT NULL,
            model_version TEXT NOT NULL, total INTEGER NOT NULL, state {blob} NOT NULL, told TEXT NOT NULL,
            owner {key} NOT NULL DEFAULT ''
        ) {strict}
        """,
        "CREATE UNIQUE INDEX telemetry_unit ON telemetry_units (owner, unit)",
        "CREATE INDEX telemetry_units_of ON telemetry_units (owner, created, id)",
    )


def downgrade() -> None:
    """Back to it."""
    run("DROP TABLE telemetry_units")
