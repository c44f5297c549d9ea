"""What a config will do and what an installation can do, without training.

Importing this package imports nothing: ``doctor`` must run where nothing else does.
"""
