"""Policies side by side: same backbone, seeds and budget, one table at the end."""
