"""The APIs: paths, headers, envelopes and error responses. They translate and do not decide."""
