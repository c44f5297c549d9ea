"""The commands of ``mmattmask``, one file each: arguments, and one call."""
