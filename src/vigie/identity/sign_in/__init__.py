"""People who sign in: passwords, authorization requests, consent."""
