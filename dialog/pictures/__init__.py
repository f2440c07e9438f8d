"""Questions about pictures, in rounds: the port, the engines behind it, and what they look at."""
