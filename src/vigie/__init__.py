"""Vigie, a self-hosted incident server with the Microsoft Defender XDR incidents API."""

__version__ = "0.1.0"
