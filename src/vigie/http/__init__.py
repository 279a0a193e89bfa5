"""HTTP below the APIs: connections and their limits, exchanges, bodies, streaming, TLS."""
