"""Tests of the project itself: documents, packages, deployment, benchmark."""
