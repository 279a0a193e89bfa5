"""Vigie, a self-hosted incident server that speaks the Microsoft Defender XDR incidents API."""

__version__ = "0.1.0"
