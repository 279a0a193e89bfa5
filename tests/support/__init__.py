"""Support for tests: servers, databases, clients and documents."""
