"""The service measured beside the same model in one process, and overloaded."""
