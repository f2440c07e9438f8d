"""The tasks of `dialog` over HTTP: FastAPI on Ray Serve, and a typed client for it."""
