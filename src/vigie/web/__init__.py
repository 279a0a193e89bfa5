"""The faces: HTTP in, HTTP out. They translate and do not decide."""
