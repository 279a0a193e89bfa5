"""Files: which may be trusted, and how they are written so that nothing is left half done."""
