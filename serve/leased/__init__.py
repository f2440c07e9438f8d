"""Work that goes on beside the requests, leased in the database: what batches and recordings have in common."""
