"""From one format of the database to the next, and back: what Alembic runs."""
