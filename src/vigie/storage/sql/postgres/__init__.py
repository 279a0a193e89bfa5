"""TODO storage/sql/postgres"""
