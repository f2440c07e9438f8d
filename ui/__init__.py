"""What people touch: the command `rapport` and the web page."""
