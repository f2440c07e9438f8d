"""Telemetry: measurements of many units over time, what is coming, what is amiss, how long is left."""
