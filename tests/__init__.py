"""The promises of Vigie, as sentences that can be run."""
