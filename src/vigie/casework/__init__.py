"""What people and programs do with incidents."""
