"""Telemetry, scored."""
