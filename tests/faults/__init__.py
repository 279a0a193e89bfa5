"""What is done to several servers while they work: processes killed, standbys promoted, all started at once."""
