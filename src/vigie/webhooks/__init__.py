"""Deliveries of webhooks: signed as Standard Webhooks has it, and sent to addresses that may be connected to."""
