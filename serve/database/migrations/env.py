"""What Alembic runs first. The connection comes from `serve.database.schema`, and so does the transaction."""

from alembic import context

from serve.database.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
