"""What Vigie promises, as sentences that can be run."""
