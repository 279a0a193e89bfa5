"""Who has called how often: the quotas' memory."""
