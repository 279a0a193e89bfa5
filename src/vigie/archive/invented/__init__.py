"""An organisation that does not exist, and what befalls it: the matter of generated incidents."""
