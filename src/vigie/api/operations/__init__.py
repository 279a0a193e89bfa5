"""Endpoints for operators and developers: health, metrics, the API reference."""
