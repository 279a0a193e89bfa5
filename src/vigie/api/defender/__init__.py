"""The Microsoft Defender XDR incidents API."""
