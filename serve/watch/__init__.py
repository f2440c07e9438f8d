"""The service watches itself: its own figures, the memory and the disk, and what is noticed in them."""
