"""How the service stands on Ray: its cluster, its processes, its applications."""
