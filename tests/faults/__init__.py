"""Faults under load: processes killed, replicas promoted, servers all started at once."""
