"""TODO storage/sql"""
