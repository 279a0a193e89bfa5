"""Files: the check that they can be trusted, and the writing of whole files."""
