"""The Defender form of an incident document: its shape, its spans, its words, its redaction, its updates."""
