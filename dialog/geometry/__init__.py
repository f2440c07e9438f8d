"""Points of the plane and what is pointed at among them: the tasks of the pointer-network paper."""
