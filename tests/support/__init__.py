"""What tests share: servers, databases, clients and documents to test with."""
